"""`tandem down`: ends what runs in this home."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict

import click

from tandemkit.cli.ending import Ended, end_fleet
from tandemkit.cli.output import as_json, emit, examples
from tandemkit.cli.progress import progress
from tandemkit.core.environment import Environment
from tandemkit.machine.home import Home


@click.command(
    short_help="End the fleet of this home, in the reverse order of its start.",
    epilog=examples("./tandem down", "TANDEM_HOME=/tmp/second ./tandem down"),
)
@as_json
def down(*, as_json: bool) -> None:
    """Drain and end all hosts, the last layer first, then their supervisor.

    Works also where the supervisor is dead or frozen. Where nothing runs, nothing is done, and
    that is no failure.
    """
    home = Home(Environment.read().home)
    shown = progress(sys.stderr)
    ended = asyncio.run(end_fleet(home, shown.show, "./tandem down"))
    shown.end()
    emit(asdict(ended), as_json=as_json, text=lambda: text_of(ended, home))


def text_of(ended: Ended, home: Home) -> str:
    """What was done, in a sentence or two."""
    gone = [*ended.hosts, *(("the supervisor",) if ended.supervisor else ())]
    if not gone:
        return f"Nothing runs in {home.folder}."
    lines = [f"Ended {', '.join(gone)} of {home.folder}."]
    if ended.without_supervisor:
        lines.append(f"Its supervisor could not be asked: {ended.without_supervisor}.")
    if ended.killed:
        lines.append(f"Killed, for it did not drain in time: {', '.join(ended.killed)}.")
    return "\n".join(lines)
