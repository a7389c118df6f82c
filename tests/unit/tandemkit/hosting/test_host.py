from __future__ import annotations

import asyncio
import logging
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandemkit.hosting import scope as scope_module
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.probing import PROBE_INTERVAL_S
from tandemkit.hosting.scope import Scope
from tandemkit.testing import probe
from tandemkit.testing.agents import serving
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.logs import lines_of
from tests.unit.tandemkit.hosting.probe_agent import AGENT
from tests.unit.tandemkit.rpc.probed import Probe

STATUS = health_pb2.HealthCheckResponse


async def test_an_agent_is_built_served_and_closed(tmp_path: Path) -> None:
    """It gets its settings and a private folder, which is there again after a restart."""
    for text in ("one", "two"):
        async with serving(AGENT, settings=probe.ProbeRequest(text=text), state_dir=tmp_path):
            pass
    folder = tmp_path / "probe-probe"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    expected = "built with one\nclosed\nbuilt with two\nclosed\n"
    assert (folder / "diary").read_text() == expected


async def test_an_agent_serves_only_while_it_says_that_it_is_well(tmp_path: Path) -> None:
    """Its health follows its own checks, in both directions, without a restart."""
    ailments = [OSError("model still loads")]

    async def well() -> None:
        if ailments:
            raise ailments[0]

    @asynccontextmanager
    async def build(scope: Scope, _settings: Any) -> AsyncIterator[Probe]:
        scope.ready_when(well)
        yield Probe()

    clock = FakeClock()
    agent = replace(AGENT, build=build)
    question = health_pb2.HealthCheckRequest(service=probe.SERVICE)
    async with serving(agent, state_dir=tmp_path, clock=clock) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert (await health.Check(question)).status == STATUS.NOT_SERVING
        cured = ailments.pop()
        await clock.advance(PROBE_INTERVAL_S)
        assert (await health.Check(question)).status == STATUS.SERVING
        ailments.append(cured)
        await clock.advance(PROBE_INTERVAL_S)
        assert (await health.Check(question)).status == STATUS.NOT_SERVING


async def test_an_agent_that_does_not_say_how_it_is_does_not_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it waits for may be frozen, which holds up neither the host nor its next question."""
    monkeypatch.setattr(scope_module, "CHECK_S_MAX", 0.05)
    thawed = asyncio.Event()

    @asynccontextmanager
    async def build(scope: Scope, _settings: Any) -> AsyncIterator[Probe]:
        scope.ready_when(thawed.wait)
        yield Probe()

    question = health_pb2.HealthCheckRequest(service=probe.SERVICE)
    async with serving(replace(AGENT, build=build), state_dir=tmp_path) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(question)
        assert (await watch.read()).status == STATUS.NOT_SERVING
        thawed.set()
        assert (await watch.read()).status == STATUS.SERVING


async def test_only_changes_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each reason once, and nothing more once the host drains."""
    caplog.set_level(logging.INFO, "tandemkit.hosting")
    causes = ["loads", "loads", "warms up", ""]

    async def well() -> None:
        if cause := causes.pop(0) if len(causes) > 1 else causes[0]:
            raise OSError(cause)

    @asynccontextmanager
    async def build(scope: Scope, _settings: Any) -> AsyncIterator[Probe]:
        scope.ready_when(well)
        yield Probe()
        # By now nobody asks.
        await clock.advance(2 * PROBE_INTERVAL_S)

    clock = FakeClock()
    async with serving(replace(AGENT, build=build), state_dir=tmp_path, clock=clock):
        await clock.advance(4 * PROBE_INTERVAL_S)
    assert [one.getMessage() for one in lines_of(caplog, "tandemkit.hosting")] == [
        "agent.unwell",
        "agent.unwell",
        "agent.serving",
    ]


async def test_a_build_that_fails_says_why_and_leaves_nothing_open(tmp_path: Path) -> None:
    """What was built before it is closed, and its own error comes out as it is."""
    closed: list[str] = []

    @asynccontextmanager
    async def build(scope: Scope, _settings: Any) -> AsyncIterator[Probe]:
        try:
            if scope.name:
                raise LookupError(scope.name)
            yield Probe()
        finally:
            closed.append(scope.name)

    with pytest.raises(LookupError, match="probe-probe"):
        async with serving(replace(AGENT, build=build), state_dir=tmp_path):
            pass
    assert closed == ["probe-probe"]


async def test_a_task_of_an_agent_ends_with_it(tmp_path: Path) -> None:
    """A spawned task runs while the agent does."""
    clock, beats = FakeClock(), []

    @asynccontextmanager
    async def build(scope: Scope, _settings: Any) -> AsyncIterator[Probe]:
        async def beat() -> None:
            while True:
                beats.append(scope.clock.monotonic_s())
                await scope.clock.sleep(1)

        scope.spawn("beat", beat())
        yield Probe()

    async with serving(replace(AGENT, build=build), state_dir=tmp_path, clock=clock):
        await clock.advance(2)
    assert beats == [0, 1, 2]


async def test_a_task_of_an_agent_ends_before_what_it_uses(tmp_path: Path) -> None:
    """Else it would fail on what is closed, and its failure would be the host's."""
    used: list[bool] = []

    @asynccontextmanager
    async def build(scope: Scope, _settings: Any) -> AsyncIterator[Probe]:
        is_open = True

        async def work() -> None:
            while True:
                await scope.clock.sleep(1)
                used.append(is_open)

        scope.spawn("work", work())
        yield Probe()
        is_open = False
        await clock.advance(2)

    clock = FakeClock()
    async with serving(replace(AGENT, build=build), state_dir=tmp_path, clock=clock):
        await clock.advance(2)
    assert used == [True, True]


def test_a_declaration_knows_its_name() -> None:
    """The short name comes from the contract."""
    assert Agent(contract=probe.DESCRIPTOR, build=AGENT.build).name == "probe-probe"
