"""One control on a Consul has a clock that jumps; another one and its hosts have not.

Consul itself is a static program, which libfaketime does not reach. It counts by monotonic time
alone, and so do we.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tandemkit.core.clock import SystemClock
from tandemkit.registry.consul import ConsulRegistry, ConsulSettings, consul_registry
from tandemkit.registry.protocol import Lease, Removed
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.moved_clock import moved_clock
from tandemkit.testing.parts_consul import durable_consul
from tests.cluster.eventually import eventually
from tests.contract.registry import consul_ticker
from tests.contract.registry.case import Watched

pytestmark = pytest.mark.cluster
_HOUR = 3600
_CLOCK = SystemClock()


@dataclass(frozen=True)
class Jumping:
    """A control whose clock is off by what `jump` says, and what a sound one sees meanwhile."""

    folder: Path
    watched: Watched

    def jump(self, offset: str) -> None:
        (self.folder / "offset").write_text(offset)

    def looks(self) -> list[dict[str, Any]]:
        # Behind the last line break stands nothing, or a line half written; others are warnings.
        lines = (self.folder / "log").read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    async def has_looked(self, clock: str, after_s: float) -> dict[str, Any]:
        """The first good look at which that clock of it showed more."""

        async def last() -> dict[str, Any]:
            if not (looks := self.looks()):
                raise LookupError((self.folder / "log").read_text())
            return looks[-1]

        def is_later(look: dict[str, Any]) -> bool:
            return not look["failure"] and look[clock] > after_s

        return await eventually(last, is_later)


@asynccontextmanager
async def jumping(folder: Path, *, monotonic_too: bool) -> AsyncIterator[Jumping]:
    """Both controls have a lease that they renew, and the one that jumps has left another one."""
    watched = Watched()
    fleet = Jumping(folder, watched)
    fleet.jump("+0")
    async with (
        durable_consul() as server,
        consul_registry(ConsulSettings(url=server.url)) as sound,
        Tasks() as tasks,
    ):
        lease = await sound.open_lease("sound", consul_ticker.TTL_S)
        await sound.register(lease, "sound", b"")
        tasks.spawn("renew", _renewing(sound, lease))
        tasks.spawn("watch", watched.follow(sound.watch()))
        async with supervised_process(_ticker(folder, server.url, monotonic_too=monotonic_too)):
            await fleet.has_looked("monotonic_s", 0.0)
            yield fleet


async def test_a_jump_of_the_wall_clock_ends_no_lease(tmp_path: Path) -> None:
    """An hour back and an hour ahead: what is renewed stays, and what is not ends in its time."""
    async with jumping(tmp_path, monotonic_too=False) as fleet:
        first = fleet.looks()[0]
        fleet.jump(f"-{_HOUR}")
        await eventually(_seen(fleet.watched), lambda keys: keys == {"renewed", "sound"})
        assert fleet.looks()[-1]["wall_s"] < first["wall_s"]
        fleet.jump(f"+{_HOUR}")
        ahead = await fleet.has_looked("wall_s", first["wall_s"] + _HOUR)
        later_s = ahead["monotonic_s"] + 1.5 * consul_ticker.TTL_S
        await fleet.has_looked("monotonic_s", later_s)
        assert {look["failure"] for look in fleet.looks()} == {""}
    _assert_only_left_is_gone(fleet)


async def test_a_control_that_was_stopped_for_an_hour_by_its_clock_evicts_nobody(
    tmp_path: Path,
) -> None:
    """A machine that slept tells by its clock alone that nobody renewed: neither its own hosts nor
    anybody else's lose their leases, and who leads goes on.
    """
    async with jumping(tmp_path, monotonic_too=True) as fleet:
        await eventually(_seen(fleet.watched), lambda keys: keys == {"renewed", "sound"})
        for hours in (1, 2):
            before = fleet.looks()[-1]
            fleet.jump(f"+{hours * _HOUR}")
            ahead = await fleet.has_looked("monotonic_s", before["monotonic_s"] + _HOUR - 60)
            await fleet.has_looked("monotonic_s", ahead["monotonic_s"] + 1.5 * consul_ticker.TTL_S)
        assert {look["failure"] for look in fleet.looks()} <= {"", "Unreachable"}
    _assert_only_left_is_gone(fleet)


def _assert_only_left_is_gone(fleet: Jumping) -> None:
    gone = [event.key for event in fleet.watched.events if isinstance(event, Removed)]
    assert set(gone) == {"left"}


def _seen(watched: Watched) -> Any:
    async def look() -> set[str]:
        return set(watched.view)

    return look


async def _renewing(registry: ConsulRegistry, lease: Lease) -> None:
    while True:
        await registry.renew(lease)
        await _CLOCK.sleep(consul_ticker.TTL_S / 4)


def _ticker(folder: Path, url: str, *, monotonic_too: bool) -> Command:
    moved = moved_clock(folder / "offset", monotonic_too=monotonic_too)
    variables = {**moved, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = (sys.executable, consul_ticker.__file__, url)
    return Command(argv, folder / "log", env=variables)
