"""`tandem ask`: a question in one's own words, answered by whoever of the fleet can."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import click
import grpc

from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandemkit.cli import running
from tandemkit.cli.answer_text import UNANSWERED, footer, sources, value_of
from tandemkit.cli.asking import ROUTES, WITHIN_S, Wanted, answered, failed, said, stdin
from tandemkit.cli.credential import shown_at
from tandemkit.cli.harmless import json_text
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, examples
from tandemkit.core.environment import Environment

_STDIN = "-"


def terms(command: Callable[..., None]) -> Callable[..., None]:
    """The options of both that ask."""
    for option in (
        click.option(
            "--route", type=click.Choice(ROUTES), help="Who it is for (default: found out)."
        ),
        click.option("--namespace", default="", help="Whose documents and memories."),
        click.option("--model", default="", help="The language model, where one is asked."),
        click.option(
            "--within-s",
            type=click.FloatRange(min=0, min_open=True),
            default=WITHIN_S,
            show_default=True,
            help="Give up an answer after it.",
        ),
    ):
        command = option(command)
    return command


@click.command(
    short_help="Ask the fleet something, in your own words.",
    epilog=examples(
        './tandem ask "How do I add an agent?"',
        './tandem ask "Which agents are healthy?"',
        './tandem ask "Remember that the release is on Friday."',
        './tandem ask --json "Where is the token?" | jq .citations',
        "git diff | ./tandem ask -                     what stands on stdin",
    ),
)
@click.argument("text", nargs=-1, required=True)
@terms
@running.address
@as_json
def ask(*, text: tuple[str, ...], address: str, as_json: bool, **more: Any) -> None:
    """Ask TEXT, and show the answer as it comes: from documents, from what was remembered, from a
    language model where one is configured, worked out, or as control knows it.

    Behind the answer stands on what it stands, which backend gave it, and how long it took. Who
    should have had a part in it and had none is said on stderr. Exits 1 where nobody knows.
    """
    question = stdin().read() if text == (_STDIN,) else " ".join(text)
    if not question.strip():
        raise Refusal("there is nothing to ask: give a text, or - for what stands on stdin.")
    wanted = Wanted(**more)
    answer = asyncio.run(_answer(address, question.strip(), wanted, is_shown=not as_json))
    if as_json:
        click.echo(json_text(json.dumps(value_of(answer), indent=2, ensure_ascii=False)))
    else:
        _close(answer)
    if not answer.is_answered:
        raise click.exceptions.Exit(EXIT_NO)


async def _answer(address: str, question: str, wanted: Wanted, *, is_shown: bool) -> pb.AskResponse:
    show = said if is_shown else _nothing
    async with shown_at(address, Environment.read()) as channel:
        try:
            return await answered(channel, question, wanted, show)
        except grpc.RpcError as error:
            raise Refusal(failed(error).as_text(), EXIT_NO) from error


def _close(answer: pb.AskResponse) -> None:
    if answer.answer:
        click.echo("\n")
    else:
        click.echo(f"tandem: {UNANSWERED}", err=True)
    for line in sources(answer):
        click.echo(line)
    click.echo(f"{'' if not answer.citations else chr(10)}{footer(answer)}")


def _nothing(_text: str) -> None:
    """A program reads the answer as a whole."""
