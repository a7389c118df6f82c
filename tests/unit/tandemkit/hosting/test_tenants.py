"""An agent that fails in its host: it is built again, and the others do not notice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandem.utility.v1 import toolbox_service_pb2 as toolbox
from tandemkit.hosting.scope import Scope
from tandemkit.supervise.children import Unmendable
from tandemkit.supervise.ward import Escalated
from tandemkit.testing import probe
from tandemkit.testing.agents import fake_agent, serving
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.failures import failure_of
from tests.unit.tandemkit.hosting.mortal import BACK_S, Mortal
from tests.unit.tandemkit.rpc.probed import Probed

CODE = grpc.StatusCode
TOOLBOX = toolbox.DESCRIPTOR.services_by_name["ToolboxService"].full_name
STATUS = health_pb2.HealthCheckResponse


async def status_of(channel: grpc.aio.Channel, service: str) -> int:
    question = health_pb2.HealthCheckRequest(service=service)
    return int((await health_pb2_grpc.HealthStub(channel).Check(question)).status)


def probing(mortal: Mortal, channel: grpc.aio.Channel) -> Any:
    server: Any = None
    return Probed(mortal.servicers[-1], server, channel)


async def refusal_of(call: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return failure_of(refused.value)


async def test_m022_an_agent_whose_task_dies_is_built_again_alone(tmp_path: Path) -> None:
    """It is not serving meanwhile; its neighbour serves all the time, and the host stays."""
    mortal, clock = Mortal(), FakeClock()
    neighbour = fake_agent(toolbox.DESCRIPTOR)
    async with serving(
        mortal.agent, beside=(neighbour,), state_dir=tmp_path, clock=clock
    ) as channel:
        assert await status_of(channel, probe.SERVICE) == STATUS.SERVING
        mortal.fail()
        await clock.advance(0)
        assert mortal.diary == ["built", "closed"]
        assert await status_of(channel, probe.SERVICE) == STATUS.NOT_SERVING
        assert await status_of(channel, TOOLBOX) == STATUS.SERVING
        await clock.advance(BACK_S)
        assert mortal.diary == ["built", "closed", "built"]
        assert await status_of(channel, probe.SERVICE) == STATUS.SERVING
        assert (await probing(mortal, channel).unary("Echo", "back")).text == "back"


async def test_calls_are_refused_until_the_agent_is_back(tmp_path: Path) -> None:
    """With a code that a route tries elsewhere, and the new life answers those behind it."""
    mortal, clock = Mortal(), FakeClock()
    async with serving(mortal.agent, state_dir=tmp_path, clock=clock) as channel:
        probed = probing(mortal, channel)
        mortal.fail()
        await clock.advance(0)
        refused = await refusal_of(probed.unary("Echo", "anybody?"))
        assert (refused.code, refused.reason) == (CODE.UNAVAILABLE, "RESTARTING")
        assert refused.retry_after_s
        await clock.advance(BACK_S)
        hanging = probed.unary("Echo", "hang")
        await mortal.servicers[1].entered.wait()
        mortal.servicers[1].freed.set()
        assert (await hanging).text == "hang"


async def test_a_call_in_progress_ends_with_its_agent(tmp_path: Path) -> None:
    """Before what it needs is closed, and with a code that says that it may be tried elsewhere."""
    mortal, clock = Mortal(), FakeClock()
    async with serving(mortal.agent, state_dir=tmp_path, clock=clock) as channel:
        hanging = probing(mortal, channel).unary("Echo", "hang")
        await mortal.servicers[0].entered.wait()
        mortal.fail()
        refused = await refusal_of(hanging)
        assert (refused.code, refused.reason) == (CODE.UNAVAILABLE, "RESTARTING")
        assert mortal.servicers[0].left == ["cancelled"]
        await clock.advance(BACK_S)


async def test_an_agent_that_fails_too_often_ends_its_host(tmp_path: Path) -> None:
    """What is above the host decides then; the cause of the last failure is in the chain."""
    mortal, clock = Mortal(), FakeClock()
    with pytest.raises(ExceptionGroup) as raised:
        async with serving(mortal.agent, state_dir=tmp_path, clock=clock):
            for _ in range(6):
                mortal.fail()
                await clock.advance(BACK_S / 2)
            await asyncio.Event().wait()
    assert raised.group_contains(Escalated)
    assert mortal.diary == ["built", "closed"] * 6


async def test_an_agent_that_changed_its_host_is_not_built_into_it_again(tmp_path: Path) -> None:
    """What it added to the server cannot be added twice, so its failure ends the host."""
    mortal = Mortal()

    async def reach(scope: Scope) -> None:
        scope.serve_also(grpc.method_handlers_generic_handler("other.Service", {}), lambda: None)

    mortal.prepare = reach
    with pytest.raises(ExceptionGroup) as raised:
        async with serving(mortal.agent, state_dir=tmp_path, clock=FakeClock()):
            mortal.fail()
            await asyncio.Event().wait()
    (escalated,) = raised.value.exceptions
    assert isinstance(escalated.__cause__, Unmendable)
    assert mortal.diary == ["built", "closed"]


async def test_a_first_build_that_fails_is_the_hosts_failure(tmp_path: Path) -> None:
    """As it is, for whoever started the host, and at once."""
    mortal = Mortal()

    async def break_down(_scope: Scope) -> None:
        raise ValueError("no such model")

    mortal.prepare = break_down
    with pytest.raises(ValueError, match="no such model"):
        async with serving(mortal.agent, state_dir=tmp_path, clock=FakeClock()):
            pass
    assert mortal.diary == ["built"]


async def test_a_later_build_that_fails_is_tried_again(tmp_path: Path) -> None:
    """What it needs may be away for a while."""
    mortal, clock = Mortal(), FakeClock()
    async with serving(mortal.agent, state_dir=tmp_path, clock=clock) as channel:
        missing = [ConnectionError("no database"), ConnectionError("no database")]

        async def connect(_scope: Scope) -> None:
            if missing:
                raise missing.pop()

        mortal.prepare = connect
        mortal.fail()
        await clock.advance(BACK_S)
        assert mortal.diary == ["built", "closed", "built", "built", "built"]
        assert await status_of(channel, probe.SERVICE) == STATUS.SERVING
