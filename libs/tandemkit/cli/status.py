"""`tandem status`: how the machines of the fleet are, once or for as long as somebody looks."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from datetime import datetime

import click

from tandem.control.v1 import machine_service_pb2 as pb
from tandemkit.cli import status_text
from tandemkit.cli.fleet_view import Others, View, others
from tandemkit.cli.machine_link import ANSWER_WITHIN_S, find, linked
from tandemkit.cli.output import EXIT_NO, as_json, examples
from tandemkit.cli.status_value import status_value
from tandemkit.cli.status_watch import watch_lines, watch_screen
from tandemkit.core.clock import SystemClock
from tandemkit.core.environment import Environment

_CLOCK = SystemClock()


@click.command(
    short_help="Say how hosts and agents are, on every machine of the fleet.",
    epilog=examples(
        "./tandem status",
        "./tandem status --watch            q ends it",
        "./tandem status --json | jq '.machines[].hosts[] | select(.state != \"SERVING\")'",
        "./tandem status --watch --json     one line for each change",
    ),
)
@click.option("-w", "--watch", is_flag=True, help="Go on, and show each change.")
@as_json
def status(*, watch: bool, as_json: bool) -> int:
    """Say how hosts and agents are: state, cause, pid, ports, restarts, uptime, memory, CPU.

    Other machines are told of where control knows of some. Exits 0 only when all is SERVING.
    """
    environment = Environment.read()
    if watch:
        watching = watch_lines if as_json or not sys.stdout.isatty() else watch_screen
        return asyncio.run(watching(environment, _CLOCK, as_json=as_json))
    views, remark = asyncio.run(_looked(environment))
    now = _CLOCK.now()
    value = status_value(views, remark, now)
    click.echo(json.dumps(value, indent=2) if as_json else _text(views, remark, now, environment))
    return 0 if value["serving"] else EXIT_NO


async def _looked(environment: Environment) -> tuple[list[View], str]:
    supervisor = await find(environment)
    async with linked(supervisor) as machine:
        told = (await machine.GetMachine(pb.GetMachineRequest(), timeout=ANSWER_WITHIN_S)).machine
        beside = await others(told.controls, told.name) if told.controls else Others()
    return beside.beside(told), beside.remark


def _text(views: list[View], remark: str, now: datetime, environment: Environment) -> str:
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else None
    look = status_text.Look(now, width, is_coloured=is_terminal and environment.may_colour)
    return "\n".join(status_text.status_lines(views, remark, look))
