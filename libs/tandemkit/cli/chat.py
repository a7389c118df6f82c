"""`tandem chat`: a conversation with the fleet, in a terminal or through a pipe."""

from __future__ import annotations

import asyncio
import re
import readline
import sys
from collections.abc import Iterator
from typing import Any, Final

import click

from tandemkit.cli import running
from tandemkit.cli.ask import terms
from tandemkit.cli.asking import Wanted, stdin
from tandemkit.cli.chatting import LEAVE, Talk
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, examples

_PROMPT: Final = "> "
_SESSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


@click.command(
    short_help="Talk with the fleet: it knows what was said before.",
    epilog=examples(
        "./tandem chat",
        "./tandem chat --session release-notes          go on with it another day",
        "printf 'Where is the token?\\nWho may read it?\\n' | ./tandem chat",
        "./tandem chat --json < questions.txt | jq .answer",
    ),
)
@click.option("--session", metavar="NAME", help="Go on with a conversation (default: a new one).")
@terms
@running.address
@as_json
def chat(*, session: str | None, address: str, as_json: bool, **more: Any) -> None:
    """Talk with the fleet, one line each. What was said is kept by memory-session-memory under the
    session's name, for as long as that keeps sessions.

    Where stdin is no terminal each line of it is a turn, and one that failed is exit 1. With --json
    each answer is one line. Ctrl-C stops an answer and not the conversation; Ctrl-D or /exit ends
    it.
    """
    if session is not None and _SESSION.fullmatch(session) is None:
        raise Refusal("--session takes letters, digits, _ and -, 63 of them at most.")
    is_person = sys.stdin.isatty()
    talk = Talk(Wanted(**more), session or "", as_json=as_json)
    if is_person:
        click.echo(f"Conversation {talk.session}. /help says what there is, Ctrl-D leaves.")
    with asyncio.Runner() as runner:
        runner.run(talk.open(address))
        try:
            for line in _typed() if is_person else map(str.strip, stdin()):
                if line in LEAVE:
                    break
                if line:
                    _take(runner, talk, line, is_person=is_person)
        finally:
            runner.run(talk.close())
    if talk.failures and not is_person:
        raise click.exceptions.Exit(EXIT_NO)


def _take(runner: asyncio.Runner, talk: Talk, line: str, *, is_person: bool) -> None:
    if line.startswith("/"):
        talk.obey(line)
        return
    try:
        runner.run(talk.say(line))
    except KeyboardInterrupt:
        if not is_person:
            raise
        click.echo("\nstopped")


def _typed() -> Iterator[str]:
    """Lines of a person, who may edit them and have earlier ones back."""
    readline.set_auto_history(True)  # once it is imported, `input` reads with it
    while True:
        try:
            yield input(_PROMPT).strip()
        except KeyboardInterrupt:
            click.echo()  # a line that was not meant
        except EOFError:
            click.echo()
            return
