"""State as an agent has it: `scope.state()`, in whichever store the fleet chose."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tandem.control.v1 import registration_pb2 as nouns
from tandem.fleet.v1 import state_pb2 as cfg
from tandemkit.core.clock import SystemClock
from tandemkit.core.errors import Bug
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.hosting.scope import Scope
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.sqlite import sqlite_state
from tandemkit.storage.state.stores import FILE, DsnUnreadable
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing import probe
from tandemkit.testing.parts import short_folder
from tandemkit.testing.parts_storage import durable_redis_server, postgres_server
from tests.cluster.eventually import eventually
from tests.contract.state import kept_writer
from tests.unit.tandemkit.rpc.probed import Probe


@asynccontextmanager
async def store(kind: str, folder: Path) -> AsyncIterator[cfg.StateStore]:
    """What a fleet's profile would say, with the server that it names."""
    async with AsyncExitStack() as stack:
        if kind == "postgres":
            server = await stack.enter_async_context(postgres_server())
            dsn = folder / "dsn"
            dsn.write_text(f"{server.dsn}\n")
            yield cfg.StateStore(postgres=cfg.StatePostgres(dsn_file=str(dsn)))
        elif kind == "redis":
            redis = await stack.enter_async_context(durable_redis_server())
            yield cfg.StateStore(redis=cfg.StateRedis(address=f"unix:{redis.socket}"))
        else:
            yield cfg.StateStore()


class Keeper:
    """An agent that hands its state to the test."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.states: list[State] = []

    @property
    def agent(self) -> Agent:
        @asynccontextmanager
        async def build(scope: Scope, _settings: None) -> AsyncIterator[Probe]:
            self.scopes.append(scope)
            self.states.append(await scope.state())
            yield Probe()

        return Agent(contract=probe.DESCRIPTOR, build=build)


@asynccontextmanager
async def kept(place: Place, instance: str = "") -> AsyncIterator[State]:
    keeper = Keeper()
    async with hosting([Placed(keeper.agent, None, instance)], place):
        yield keeper.states[0]


@pytest.mark.parametrize("kind", ["files", "postgres", "redis"])
async def test_state_outlives_its_host(tmp_path: Path, kind: str) -> None:
    """In the store that the fleet chose, each instance with its own."""
    with short_folder() as sockets:
        async with store(kind, tmp_path) as chosen:
            folder = tmp_path / "state"
            place = Place(f"unix:{sockets}/host", folder, SystemClock(), 0.0, store=chosen)
            async with kept(place) as state:
                await state.put("one", nouns.Host(name="hosts/one"))
            # A host on another machine has another folder.
            elsewhere = place if kind == "files" else replace(place, state_dir=tmp_path / "b")
            async with kept(elsewhere) as state:
                found = await state.get("one", nouns.Host)
                assert found is not None
                assert found.name == "hosts/one"
            async with kept(place, "probe-probe-other") as state:
                assert await state.get("one", nouns.Host) is None
            assert (folder / "probe-probe" / FILE).exists() is (kind == "files")


async def test_an_agent_without_its_store_does_not_serve(tmp_path: Path) -> None:
    """And says why; it serves again when the store is back."""
    keeper = Keeper()
    with short_folder() as sockets:
        async with durable_redis_server() as redis:
            chosen = cfg.StateStore(redis=cfg.StateRedis(address=f"unix:{redis.socket}"))
            place = Place(f"unix:{sockets}/host", tmp_path, SystemClock(), 0.0, store=chosen)
            async with hosting([Placed(keeper.agent, None)], place):
                (scope,) = keeper.scopes
                assert await scope.unwell() is None
                await redis.kill()
                assert type(await scope.unwell()).__name__ == "Unreachable"
                await redis.start()
                assert await scope.unwell() is None


async def test_a_store_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    """By the file that is missing, before anything serves."""
    chosen = cfg.StateStore(postgres=cfg.StatePostgres(dsn_file=str(tmp_path / "dsn")))
    place = Place(f"unix:{tmp_path}/s", tmp_path, SystemClock(), 0.0, store=chosen)
    with pytest.raises(DsnUnreadable, match="No such file"):
        async with kept(place):
            pass


async def test_state_is_asked_for_in_build(tmp_path: Path) -> None:
    """What it runs is ended by who opened it, so a task that asks first is told so."""
    told: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    @asynccontextmanager
    async def build(scope: Scope, _settings: None) -> AsyncIterator[Probe]:
        async def ask() -> None:
            try:
                await scope.state()
            except Bug as error:
                told.set_result(error)

        scope.spawn("late", ask())
        yield Probe()

    with short_folder() as sockets:
        place = Place(f"unix:{sockets}/host", tmp_path, SystemClock(), 0.0)
        agent = Agent(contract=probe.DESCRIPTOR, build=build)
        async with hosting([Placed(agent, None)], place):
            assert "in `build`" in str(await told)


@pytest.mark.cluster
async def test_m001_kill_9_of_a_host_takes_no_write_that_was_acknowledged(tmp_path: Path) -> None:
    """Over five kills in the midst of writes, what each writer was told last is there."""
    with short_folder() as folder:
        for turn in range(5):
            told = await _killed(folder, tmp_path / f"log{turn}")
            async with sqlite_state(folder / kept_writer.AGENT.name / FILE) as opened:
                state = State(opened)
                for writer, count in told.items():
                    found = await state.get(f"writers/{writer}", nouns.Host)
                    assert found is not None
                    # The kill may come between a write and its being told.
                    assert 0 <= found.port - count <= 1


async def _killed(folder: Path, log: Path) -> dict[int, int]:
    """What each writer said last."""
    argv = (sys.executable, kept_writer.__file__, str(folder))

    async def told() -> list[str]:
        return [line for line in _lines(log) if line[:1].isdigit()]

    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    async with supervised_process(Command(argv, log, env=environment)) as host:
        await eventually(told, lambda lines: len(lines) >= 100)
        os.killpg(host.pid, signal.SIGKILL)
        await host.wait()
    return {int(line.split()[0]): int(line.split()[1]) for line in await told()}


def _lines(log: Path) -> list[str]:
    # Behind the last line break stands nothing, or a line half written.
    return log.read_text().split("\n")[:-1]
