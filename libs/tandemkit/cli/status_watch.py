"""How the machines are, for as long as somebody looks: on a page of the terminal or in lines."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import click
import grpc

from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import machine_service_pb2 as pb
from tandemkit.cli.fleet_view import Others, View, others
from tandemkit.cli.harmless import one_line
from tandemkit.cli.live_screen import Screen, live_screen
from tandemkit.cli.machine_link import ANSWER_WITHIN_S, Supervisor, find, linked
from tandemkit.cli.output import EXIT_INTERRUPTED, Refusal
from tandemkit.cli.status_text import Look, status_lines
from tandemkit.cli.status_value import cpu_s, status_value, without_usage
from tandemkit.core.clock import Clock
from tandemkit.core.environment import Environment
from tandemkit.supervise.tasks import Tasks

# Uptime counts in seconds; other machines are asked this often.
_REDRAW_S = 1.0
_ASK_OTHERS_S = 2.0
_AGAIN_S, _DOUBT_S = 0.5, 3.0


@dataclass
class Watched:
    """What was heard last. `trouble` is why nothing newer is: the supervisor is away."""

    clock: Clock
    machine: nouns.Machine | None = None
    beside: Others = field(default_factory=Others)
    trouble: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    shares: dict[tuple[str, str], float] = field(default_factory=dict)
    _used_s: dict[tuple[str, str, int], tuple[float, float]] = field(default_factory=dict)

    @property
    def views(self) -> list[View]:
        return [] if self.machine is None else self.beside.beside(self.machine)

    @property
    def remark(self) -> str:
        return "; ".join(one for one in (self.trouble, self.beside.remark) if one)

    def hear(self, machine: nouns.Machine) -> None:
        self.machine, self.trouble = machine, ""
        self._measure([View(machine, is_here=True)])
        self.changed.set()

    def hear_others(self, beside: Others) -> None:
        self.beside = beside
        self._measure(beside.views)
        self.changed.set()

    def miss(self, trouble: str) -> None:
        self.trouble = trouble
        self.changed.set()

    def _measure(self, views: list[View] | tuple[View, ...]) -> None:
        """CPU shares since the last time that a host's use was told."""
        now_s = self.clock.monotonic_s()
        for view in views:
            for host in view.machine.hosts:
                key, used_s = (view.machine.name, host.host, host.pid), cpu_s(host)
                before_s, then_s = self._used_s.get(key, (used_s, now_s))
                if used_s != before_s and now_s > then_s:
                    self.shares[key[:2]] = (used_s - before_s) / (now_s - then_s)
                if used_s != before_s or key not in self._used_s:
                    self._used_s[key] = used_s, now_s


async def watch_screen(environment: Environment, clock: Clock, *, as_json: bool) -> int:
    """A page of the terminal until `q`, 0, or Ctrl-C, which is told as such."""
    del as_json
    supervisor = await find(environment)
    async with _watching(environment, supervisor, clock) as watched, live_screen() as screen:
        while not screen.quit.is_set():
            if watched.machine is not None or watched.trouble:
                screen.draw(_page(watched, screen, is_coloured=environment.may_colour))
            await _until(clock, watched.changed, screen.stirred, screen.quit)
    return EXIT_INTERRUPTED if screen.ended_by == signal.SIGINT else 0


async def watch_lines(environment: Environment, clock: Clock, *, as_json: bool) -> int:
    """One JSON line for each change, or the text again where that is no terminal, until it is
    interrupted.
    """
    supervisor = await find(environment)
    told: object = None
    async with _watching(environment, supervisor, clock) as watched:
        while True:
            await watched.changed.wait()
            watched.changed.clear()
            now = clock.now()
            value = status_value(watched.views, watched.remark, now)
            if (watched.machine is None and not watched.trouble) or without_usage(value) == told:
                continue
            told = without_usage(value)
            look = Look(now, shares=watched.shares)
            lines = status_lines(watched.views, watched.remark, look)
            click.echo(json.dumps(value) if as_json else "\n".join([*lines, ""]))


def _page(watched: Watched, screen: Screen, *, is_coloured: bool) -> list[str]:
    size = screen.size
    look = Look(
        watched.clock.now(), size.columns, max(1, size.lines - 1), is_coloured, watched.shares
    )
    lines = status_lines(watched.views, one_line(watched.remark), look)
    return [*lines, "q quits"[: size.columns]] if len(lines) < size.lines else lines


@asynccontextmanager
async def _watching(
    environment: Environment, supervisor: Supervisor, clock: Clock
) -> AsyncIterator[Watched]:
    watched = Watched(clock)
    async with Tasks() as tasks:
        tasks.spawn("machine", _follow(watched, environment, supervisor))
        tasks.spawn("others", _ask_others(watched))
        yield watched


async def _follow(watched: Watched, environment: Environment, supervisor: Supervisor) -> None:
    """A supervisor that dies is started again by its keeper: it is found again."""
    while True:
        try:
            async with linked(supervisor) as machine, Tasks() as tasks:
                tasks.spawn("doubt", _doubt(watched, machine, supervisor))
                async for response in machine.WatchMachine(pb.WatchMachineRequest()):
                    watched.hear(response.machine)
            watched.miss("the machine supervisor has ended")
        except Refusal as refusal:
            watched.miss(refusal.message)
        await watched.clock.sleep(_AGAIN_S)
        try:
            supervisor = await find(environment, watched.clock)
        except Refusal as refusal:
            watched.miss(refusal.message)


async def _doubt(watched: Watched, machine: Any, supervisor: Supervisor) -> None:
    """A frozen supervisor says nothing, as one does to whom nothing happens: so it is asked."""
    while True:
        try:
            told = await machine.GetMachine(pb.GetMachineRequest(), timeout=ANSWER_WITHIN_S)
        except grpc.RpcError:
            watched.miss(supervisor.silent().message)
        else:
            if watched.trouble:
                watched.hear(told.machine)
        await watched.clock.sleep(_DOUBT_S)


async def _ask_others(watched: Watched) -> None:
    while True:
        machine = watched.machine
        if machine is not None and machine.controls:
            watched.hear_others(await others(machine.controls, machine.name))
        await watched.clock.sleep(_ASK_OTHERS_S if machine is not None else _AGAIN_S)


async def _until(clock: Clock, *events: asyncio.Event) -> None:
    """One of them is set, or it is time to draw again. Clears the first two."""
    async with Tasks() as tasks:
        one = asyncio.Event()

        async def hear(event: asyncio.Event) -> None:
            await event.wait()
            one.set()

        async def tick() -> None:
            await clock.sleep(_REDRAW_S)
            one.set()

        for event in events:
            tasks.spawn("event", hear(event))
        tasks.spawn("tick", tick())
        await one.wait()
    for event in events[:2]:
        event.clear()
