"""`tandem up`: the fleet of a profile on this machine, from source, each host a process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from tandem.control.v1 import machine_pb2 as nouns
from tandemkit.cli import (
    deploying,
    edge,
    embedding_model,
    gateway,
    host_programs,
    registry_choice,
    starting,
)
from tandemkit.cli.boot import Asked, prepared, wanted
from tandemkit.cli.checkout import cache_of
from tandemkit.cli.ending import end_fleet
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples
from tandemkit.cli.plan import DEFAULT_PROFILE, blueprint
from tandemkit.cli.progress import progress
from tandemkit.cli.readying import readied
from tandemkit.cli.screen import screen, value_of
from tandemkit.cli.signals import Interrupts, unread
from tandemkit.cli.steps import Steps
from tandemkit.core.environment import Environment
from tandemkit.machine.home import Home

WITHIN_S = 300.0
_REGISTRY = ("registry", "registry_address", "registry_secret")


@click.command(
    short_help="Serve the fleet on this machine, from source.",
    epilog=examples(
        "./tandem up",
        "./tandem up -d && ./tandem agents",
        "./tandem up --profile mainpc --advertise 10.8.0.1",
        "./tandem up -d --registry consul     and its UI shows every agent",
        "./tandem up --edge                then: grpcurl -plaintext 127.0.0.1:8290 list",
        "TANDEM_HOME=/tmp/second ./tandem up -d    a second fleet, on other ports",
    ),
)
@click.option("--profile", default=DEFAULT_PROFILE, show_default=True, help="What runs where.")
@click.option("-d", "--detach", is_flag=True, help="Return when all serve; ./tandem down ends it.")
@click.option("--address", default="", help="host:port of control (default: the plan's); 0: any.")
@click.option(
    "--advertise", default="", help="How callers reach this machine (default: the plan's)."
)
@click.option(
    "--within-s",
    type=click.FloatRange(min=0, min_open=True),
    default=WITHIN_S,
    show_default=True,
    help="How long to wait until all serve.",
)
@deploying.option
@registry_choice.options
@edge.options
@as_json
def up(*, as_json: bool, detach: bool, within_s: float, **said: Any) -> int:
    """Start what the profile plans for this machine, or change what runs to that.

    Hosts start layer by layer, each when the agents before it serve. Without -d the fleet ends with
    the command: Ctrl-C drains it in reverse order. Where a fleet of this home runs already, only
    what differs is changed, and Ctrl-C leaves it running. Exits 1 where something does not serve.
    """
    asked, address = Asked(said.pop("profile"), said.pop("advertise")), said.pop("address")
    keep = said.pop("checkpoint")
    environment = Environment.read()
    choice = registry_choice.of(*(said.pop(name) for name in _REGISTRY))
    edge_wanted = edge.of(**said)
    if edge_wanted and detach:
        raise Refusal("the edge stands with its command: leave out -d, or --edge.")
    home = prepared(environment)
    written = blueprint(environment)
    plan = wanted(written, asked)
    whole = nouns.WantedMachine()
    whole.CopyFrom(plan)
    # A first start does not wait for what has to be built.
    makes = host_programs.BUILT if home.wanted is None else host_programs.MAKES
    environment = asyncio.run(readied(plan, environment, home, written=written, makes=makes))
    if remark := registry_choice.stood(plan, choice, home, environment):
        click.echo(f"tandem: {remark}", err=True)
    envoy = edge.program(environment) if edge_wanted else Path()

    def standing(machine: nouns.Machine) -> edge.Standing:
        place = (envoy, home.logs / "edge.log")
        return edge.Standing(edge_wanted, place, machine.name, machine.controls)

    run = _Run(environment, home, standing, as_json=as_json)
    late = whole if host_programs.is_late(plan.plan) else None
    start = starting.Start(plan, address, detach, within_s)
    return asyncio.run(run.up(start, keep=keep, late=late))


class _Run:
    """One call of the command."""

    def __init__(
        self,
        environment: Environment,
        home: Home,
        standing: Callable[[nouns.Machine], edge.Standing],
        *,
        as_json: bool,
    ) -> None:
        self._environment, self._home, self._as_json = environment, home, as_json
        self._standing = standing
        self._shown = progress(sys.stderr)
        self._kept = ""

    async def up(
        self, start: starting.Start, *, keep: bool | None, late: nouns.WantedMachine | None
    ) -> int:
        """`late` is the whole plan, where some of it has to be built before it can start."""
        self._kept = await deploying.kept_before(
            self._environment, self._home, start.wanted, asked=keep
        )
        interrupts = Interrupts()
        ours = asyncio.Event()
        beginning = starting.begin(self._environment, self._home, start, ours.set)
        began = await interrupts.until(beginning)
        if began is None:
            return await self._end() if ours.is_set() else 0
        waiting = starting.settled(self._home, self._shown.show, start.within_s)
        machine = await interrupts.until(waiting)
        self._shown.end()
        if machine is not None and embedding_model.is_wanted(start.wanted.plan, self._environment):
            machine = await interrupts.until(self._with_model(machine))
        if machine is not None and late is not None:
            machine = await interrupts.until(self._whole(machine, replace(start, wanted=late)))
        if machine is None:
            return 0 if began.attached else await self._end()
        standing = self._standing(machine)
        async with standing.beside():
            try:
                self._say(machine, began, standing, detached=start.detach)
            except OSError:
                if began.attached or start.detach:
                    raise
                # The terminal went just now, or whoever read it.
                unread()
                return await self._end()
            if start.detach:
                return EXIT_NO if starting.lacking(machine) else 0
            await interrupts.until(starting.over(self._home))
            # The edge relays the end of the fleet, so it stands until then.
            return 0 if began.attached else await self._end()

    async def _whole(self, machine: nouns.Machine, start: starting.Start) -> nouns.Machine:
        """Has the rest join once it is built. Whoever stops waiting ends what serves already."""
        serving, where = sum(len(one.agents) for one in machine.hosts), machine.controls[0]
        click.echo(f"tandem: {serving} agents serve at {where}; others are built for it.", err=True)
        await host_programs.fit(start.wanted.plan, self._environment, self._home.logs)
        registry_choice.stood(start.wanted, registry_choice.Choice(), self._home, self._environment)
        await starting.begin(self._environment, self._home, start, lambda: None)
        told = await starting.settled(self._home, self._shown.show, start.within_s)
        self._shown.end()
        return told

    async def _with_model(self, machine: nouns.Machine) -> nouns.Machine:
        """All serve meanwhile; who needs the model works without it until then."""
        steps = Steps(sys.stderr, cache_of(self._environment))
        why = await embedding_model.why_not(self._environment, steps)
        if why:
            click.echo(f"tandem: memory finds by words alone: the model is absent: {why}", err=True)
        return machine

    def _say(
        self,
        machine: nouns.Machine,
        began: starting.Began,
        standing: edge.Standing,
        *,
        detached: bool,
    ) -> None:
        value = {**value_of(machine), "changes": began.told, **standing.value}
        value["checkpoint"] = self._kept
        value["gateway"] = url = gateway.url_of(self._home.folder)
        text = screen(machine, began, detached=detached) + gateway.screen(url)
        if self._kept:
            text += f"\n\nThe state before this is checkpoint {self._kept}."
        emit(value, as_json=self._as_json, text=lambda: text + standing.screen)

    async def _end(self) -> int:
        """The fleet ends with the command that began it."""
        click.echo("tandem: draining; calls in progress may finish.", err=True)
        shown = progress(sys.stderr)
        await end_fleet(self._home, shown.show, "the command that ran it ends")
        shown.end()
        return 0
