"""`tandem events`: what happened in the fleet, as the event store keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import click
import grpc

from tandem.platform.v1 import event_store_service_pb2 as pb
from tandemkit.cli import completing, running
from tandemkit.cli.credential import shown_at
from tandemkit.cli.event_reading import Reader
from tandemkit.cli.event_text import Schemas, event_json, event_line
from tandemkit.cli.failure import describe
from tandemkit.cli.moments import moment
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, examples
from tandemkit.core.clock import SystemClock
from tandemkit.core.environment import Environment

_COUNT, _COUNT_MAX = 50, 100_000
_AGAIN_S = 1.0
_CLOCK = SystemClock()
Show = Callable[[pb.Event], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: of streams that begin with `prefix`, `since` a moment, the last `count` of
    them; None is all.
    """

    prefix: str
    since: datetime | None
    count: int | None


@click.command(
    short_help="Show what happened: restarts, deployments, policy changes, commands.",
    epilog=examples(
        "./tandem events",
        "./tandem events -f --stream machines/       restarts, deployments and commands",
        "./tandem events --stream policy/traffic     changes of the traffic policy",
        "./tandem events --since now-1h --json | jq .content",
    ),
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on.")
@click.option(
    "--stream",
    default="",
    metavar="PREFIX",
    help="Only streams that begin so.",
    shell_complete=completing.streams,
)
@click.option("--since", metavar="MOMENT", help="ISO 8601, now-10m, ... (default: the last ones).")
@click.option(
    "-n", "--count", type=click.IntRange(0, _COUNT_MAX), help="So many of the last (default: 50)."
)
@running.address
@as_json
def events(
    *, follow: bool, stream: str, since: str | None, count: int | None, **more: object
) -> None:
    """Show events in the order in which they were recorded: when, where in the order, which stream,
    what, and what it says. With --json one line each.
    """
    count = _COUNT if count is None and since is None else count
    wanted = Wanted(stream, _moment(since), count)
    shown = event_json if more["as_json"] else event_line
    schemas = Schemas.read(Environment.read())

    def show(event: pb.Event) -> None:
        click.echo(shown(event, schemas))

    asyncio.run(_shown(str(more["address"]), wanted, show, follow=follow))


async def _shown(address: str, wanted: Wanted, show: Show, *, follow: bool) -> None:
    async with shown_at(address, Environment.read()) as channel:
        reader = Reader(channel, wanted.prefix)
        try:
            position = await _looked_back(reader, wanted, show)
        except grpc.RpcError as error:
            raise Refusal(f"the event store: {describe(error).as_text()}", EXIT_NO) from error
        while follow:
            try:
                async for event in reader.follow(position):
                    position = event.position
                    show(event)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise Refusal(describe(error).as_text(), EXIT_NO) from error
                click.echo("tandem: the event store is away; waiting for it.", err=True)
            await _CLOCK.sleep(_AGAIN_S)


async def _looked_back(reader: Reader, wanted: Wanted, show: Show) -> int:
    """Shows what was recorded, and says up to which position."""
    above = 0 if wanted.since is None else await reader.before(wanted.since)
    if wanted.count is not None:
        head = await reader.head()
        for event in await reader.last(wanted.count, head, above):
            show(event)
        return head
    async for event in reader.behind(above):
        above = event.position
        show(event)
    return above


def _moment(since: str | None) -> datetime | None:
    try:
        return None if since is None else moment(since, _CLOCK.now)
    except ValueError as error:
        message = f"--since takes a moment such as now-1h or 2026-11-21T20:00, not {since!r}."
        raise Refusal(message) from error
