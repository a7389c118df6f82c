"""`tandem forget`: everything about somebody is deleted, by every agent that keeps content."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

import click
import grpc

from tandem.memory.v1 import deletion_pb2 as nouns
from tandem.memory.v1 import namespace_service_pb2 as pb
from tandemkit.cli import running
from tandemkit.cli.credential import shown_at
from tandemkit.cli.failure import describe
from tandemkit.cli.forgetting import asked, followed, holding, screen, value_of
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples
from tandemkit.cli.shelving import refusals
from tandemkit.core.environment import Environment
from tandemkit.machine.checkpoints.shelf import Shelf
from tandemkit.machine.home import Home

_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class _Wanted:
    subject: str
    namespace: str
    mentions: bool
    wait: bool

    @property
    def request(self) -> pb.ForgetSubjectRequest | pb.DeleteNamespaceRequest:
        if not self.subject:
            return pb.DeleteNamespaceRequest(name=f"namespaces/{self.namespace}")
        return pb.ForgetSubjectRequest(
            subject=self.subject, namespace=self.namespace, mentions=self.mentions
        )

    @property
    def title(self) -> str:
        about = f"about {self.subject}" if self.subject else "that there is"
        return f"everything {about} in the namespace {self.namespace}"


@click.command(
    short_help="Delete everything about somebody, everywhere.",
    epilog=examples(
        "./tandem forget 'Ada Lovelace'",
        "./tandem forget 'Ada Lovelace' --mentions --checkpoints --yes",
        "./tandem forget --namespace team-a --everything",
        "./tandem forget user-42 --yes --json | jq .state",
    ),
)
@click.argument("subject", default="")
@click.option("--namespace", default=_DEFAULT, show_default=True, help="Where.")
@click.option("--mentions", is_flag=True, help="Also what only has the words in its text.")
@click.option("--everything", is_flag=True, help="All of the namespace, instead of a subject.")
@click.option("--checkpoints", is_flag=True, help="And this machine's checkpoints from before.")
@click.option("--no-wait", is_flag=True, help="Leave when it is begun: it goes on by itself.")
@click.option("--yes", is_flag=True, help="Without asking.")
@running.address
@as_json
def forget(
    *, subject: str, namespace: str, mentions: bool, everything: bool, **more: object
) -> None:
    """Delete everything about SUBJECT from every agent that keeps content: from their answers and
    from their files. It ends when each has confirmed twice, whatever is restarted meanwhile;
    nothing takes it back.
    """
    if bool(subject) == everything:
        raise Refusal("name a SUBJECT, or say --everything for all of a namespace.")
    if more["no_wait"] and more["checkpoints"]:
        raise Refusal("--checkpoints waits for the end: without it old checkpoints hold no less.")
    wanted = _Wanted(subject, namespace, mentions, wait=not more["no_wait"])
    if not more["yes"]:
        _confirm(wanted)
    environment = Environment.read()
    deletion = asyncio.run(_done(str(more["address"]), environment, wanted))
    shelf, deleted = Shelf(Home(environment.home)), []
    is_over = deletion.state == nouns.DELETION_STATE_COMPLETE
    held = [one.name for one in holding(shelf, deletion)] if is_over else []
    if more["checkpoints"] and held:
        with refusals(), shelf.alone():
            for name in held:
                shelf.delete(name)
        held, deleted = [], held
    emit(
        value_of(deletion, held, deleted),
        as_json=bool(more["as_json"]),
        text=lambda: screen(deletion, held, deleted),
    )


def _confirm(wanted: _Wanted) -> None:
    if not sys.stdin.isatty():
        raise Refusal(f"--yes deletes {wanted.title}; nothing takes that back.")
    click.confirm(f"Delete {wanted.title}? Nothing takes that back.", abort=True, err=True)


async def _done(address: str, environment: Environment, wanted: _Wanted) -> nouns.Deletion:
    async with shown_at(address, environment) as channel:
        try:
            deletion = await asked(channel, wanted.request)
            return await followed(channel, deletion, _say) if wanted.wait else deletion
        except grpc.RpcError as error:
            raise Refusal(describe(error).as_text(), EXIT_NO) from error


def _say(line: str) -> None:
    click.echo(f"tandem: {line}", err=True)
