"""`tandem logs`: what a host and its agents write, for people."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import click

from tandem.control.v1 import machine_service_pb2 as pb
from tandemkit.cli import completing, log_text
from tandemkit.cli.log_files import last_lines
from tandemkit.cli.machine_link import Absent, Supervisor, linked, on_machine, supervisor_on
from tandemkit.cli.output import Refusal, as_json, examples
from tandemkit.core.clock import SystemClock
from tandemkit.core.environment import Environment
from tandemkit.machine.home import Home

_LINES_MAX = 10_000
_AGAIN_S = 0.5
_CLOCK = SystemClock()


@click.command(
    short_help="Show what an agent or a host writes.",
    epilog=examples(
        "./tandem logs utility-files",
        "./tandem logs -f agents                 a host, with all of its agents",
        "./tandem logs -n 1000 control --json | jq 'select(.level == \"ERROR\")'",
    ),
)
@click.argument("target", metavar="AGENT|HOST", shell_complete=completing.log_targets)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option(
    "-n", "--lines", type=click.IntRange(0, _LINES_MAX), default=50, show_default=True, help="Last."
)
@on_machine
@as_json
def logs(*, target: str, follow: bool, lines: int, machine: str | None, as_json: bool) -> None:
    """Show the last lines that AGENT or HOST wrote: time, level, event, and its fields.

    With --json each line is the JSON object that was written; a line that is none, as a library
    may write it, is one with the field `text`.
    """
    environment = Environment.read()
    is_coloured = sys.stdout.isatty() and environment.may_colour
    rendered = log_text.as_json if as_json else log_text.renderer(is_coloured=is_coloured)
    request = pb.ReadLogRequest(target=target, lines_max=lines, follow=follow)
    try:
        asyncio.run(_shown(machine, request, rendered))
    except Absent as absent:
        if follow or machine is not None:
            raise
        _show_files(absent, request, environment, rendered)


def _show_files(
    absent: Absent, request: Any, environment: Environment, rendered: log_text.Rendered
) -> None:
    """Whoever asks why a fleet is gone asks when nobody answers any more."""
    try:
        lines = list(last_lines(Home(environment.home).logs, request.target, request.lines_max))
    except LookupError:
        raise absent from None
    click.echo(f"tandem: {absent.message} What was written last:", err=True)
    for host, line in lines:
        click.echo(rendered(host, line))


async def _shown(machine: str | None, request: Any, rendered: log_text.Rendered) -> None:
    environment = Environment.read()
    supervisor = await supervisor_on(environment, machine)
    while True:
        try:
            return await _read(supervisor, request, rendered)
        except Refusal as refusal:
            if not (request.follow and supervisor.has_ended(refusal)):
                raise
        # Hosts go on meanwhile; what they wrote by then was shown, or is in their files.
        click.echo("tandem: the machine supervisor has ended; waiting for the next one.", err=True)
        await _CLOCK.sleep(_AGAIN_S)
        supervisor = await supervisor_on(environment, machine)
        request.lines_max = 0


async def _read(supervisor: Supervisor, request: Any, rendered: log_text.Rendered) -> None:
    async with linked(supervisor) as machine:
        async for response in machine.ReadLog(request):
            for line in response.lines:
                click.echo(rendered(response.host, line))
