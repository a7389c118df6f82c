"""Instances that are added to a running host, and removed from it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandem.control.v1 import host_service_pb2 as pb
from tandem.control.v1 import host_service_pb2_grpc as rpc
from tandem.control.v1 import traffic_policy_pb2 as policy
from tandem.fleet.v1.plan_pb2 import PlannedAgent
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.host import Place, hosting
from tandemkit.hosting.scope import Scope
from tandemkit.testing import probe
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.failures import Failure, failure_of
from tests.unit.tandemkit.hosting.asking import get
from tests.unit.tandemkit.hosting.mortal import Mortal
from tests.unit.tandemkit.hosting.overseen import PROBE, TOOLBOX, Overseen, overseen

CODE = grpc.StatusCode
NOTE = policy.ChangeNote(author="ann", reason="more of them")
BLUE, RED = "probe-probe-blue", "probe-probe-red"


async def test_an_added_instance_answers_by_its_name_and_leaves_the_planned_one_alone(
    tmp_path: Path,
) -> None:
    """Of several instances in one process each call reaches the one whose name it says."""
    async with overseen(tmp_path) as host:
        for name in (BLUE, RED):
            added = await add(host, name)
            assert (added.agent.name, added.agent.added) == (name, True)
            assert not added.was_so_already
        assert (await add(host, BLUE)).was_so_already
        for name, servicer in zip((PROBE, BLUE, RED), host.mortal.servicers, strict=True):
            hanging = call(host, name, "hang")
            await servicer.entered.wait()
            servicer.freed.set()
            assert (await hanging).text == "hang"
        assert await echo(host, "") == "you"
        told = await standings(host)
        assert [one.name for one in told.values() if one.added] == [BLUE, RED]


async def test_an_instance_that_is_removed_lets_its_calls_finish_and_keeps_its_state(
    tmp_path: Path,
) -> None:
    """What is added under the same name again finds what it had; a call meanwhile is refused, and
    never answered by another instance.
    """
    folders: list[Path] = []

    async def prepare(scope: Scope) -> None:
        folders.append(scope.state_dir)

    mortal = Mortal()
    mortal.prepare = prepare
    async with overseen(tmp_path, mortal) as host:
        await add(host, BLUE)
        (folders[-1] / "kept").write_text("what it knows")
        assert not (await remove(host, BLUE)).was_so_already
        assert (await remove(host, BLUE)).was_so_already
        assert mortal.diary == ["built", "built", "closed"]
        refused = await refusal(echo(host, BLUE))
        assert (refused.code, refused.reason) == (CODE.UNAVAILABLE, "RESTARTING")
        await add(host, BLUE)
        assert (folders[-1] / "kept").read_text() == "what it knows"
        assert await echo(host, BLUE) == "you"


async def test_an_added_instance_that_fails_is_gone_and_its_host_goes_on(tmp_path: Path) -> None:
    """However often that happens: whoever added it knows whether it is still wanted."""
    async with overseen(tmp_path) as host:
        for _ in range(8):
            await add(host, BLUE)
            host.mortal.fail()
            while BLUE in await standings(host):
                await host.clock.advance(0)
        assert set(await standings(host)) == {PROBE, TOOLBOX}
        assert await echo(host, "") == "you"


async def test_an_instance_that_cannot_be_built_is_not_there_and_says_why(tmp_path: Path) -> None:
    """The host goes on, and the same name can be tried again."""
    mortal = Mortal()
    async with overseen(tmp_path, mortal) as host:

        async def fail(_scope: Scope) -> None:
            raise OSError("the model is gone")

        mortal.prepare = fail
        refused = await refusal(add(host, BLUE))
        assert (refused.code, refused.reason) == (CODE.UNAVAILABLE, "AGENT_UNBUILT")
        assert refused.metadata["cause"] == "OSError: the model is gone"
        mortal.prepare = None
        assert not (await add(host, BLUE)).was_so_already


@pytest.mark.parametrize(
    ("wanted", "code", "reason"),
    [
        (PlannedAgent(name=BLUE, service="tandem.none.v1.NoneService"), "NOT_FOUND", "PROGRAM"),
        (PlannedAgent(name=BLUE, service="none"), "NOT_FOUND", "PROGRAM"),
        (PlannedAgent(name=PROBE, service=probe.SERVICE), "INVALID_ARGUMENT", "INSTANCE_REFUSED"),
        (PlannedAgent(name="x-y", service=probe.SERVICE), "INVALID_ARGUMENT", "INSTANCE_REFUSED"),
    ],
)
async def test_what_cannot_be_added_is_refused_with_its_reason(
    tmp_path: Path, wanted: PlannedAgent, code: str, reason: str
) -> None:
    """A contract that the program has no agent of, and a name that is not one of its agent's."""
    async with overseen(tmp_path) as host:
        refused = await refusal(host.stub.AddAgent(pb.AddAgentRequest(agent=wanted, note=NOTE)))
        assert refused.code.name == code
        assert refused.reason.endswith(reason)


async def test_settings_are_checked_and_tell_instances_apart(tmp_path: Path) -> None:
    """Settings of another type, or that break their rules, are refused; a name is taken once."""
    async with overseen(tmp_path, _Set()) as host:
        assert not (await add(host, BLUE, text="one")).was_so_already
        assert (await add(host, BLUE, text="one")).was_so_already
        assert (await refusal(add(host, BLUE, text="two"))).reason == "INSTANCE_DIFFERS"
        long = "x" * (probe.TEXT_CHARS_MAX + 1)
        assert (await refusal(add(host, RED, text=long))).reason == "INSTANCE_REFUSED"
        strange = PlannedAgent(name=RED, service=probe.SERVICE)
        strange.settings.Pack(NOTE)
        refused = await refusal(host.stub.AddAgent(pb.AddAgentRequest(agent=strange, note=NOTE)))
        assert refused.reason == "INSTANCE_REFUSED"


async def test_an_agent_of_the_plan_cannot_be_removed(tmp_path: Path) -> None:
    """It belongs to the plan, which says when it ends."""
    async with overseen(tmp_path) as host:
        assert (await refusal(remove(host, PROBE))).reason == "AGENT_PLANNED"


async def test_a_host_tells_how_busy_an_instance_is(tmp_path: Path) -> None:
    """Calls in progress, and when the latest one came: by that a pool knows who is idle."""
    async with overseen(tmp_path) as host:
        await add(host, BLUE)
        before = (await standings(host))[BLUE]
        assert (before.calls_in_progress, before.HasField("last_call_time")) == (0, False)
        hanging = call(host, BLUE, "hang")
        await host.mortal.servicers[-1].entered.wait()
        told = await standings(host)
        assert (told[BLUE].calls_in_progress, told[PROBE].calls_in_progress) == (1, 0)
        assert told[BLUE].HasField("last_call_time")
        host.mortal.servicers[-1].freed.set()
        await hanging


async def test_health_and_metrics_know_added_instances(tmp_path: Path) -> None:
    """Each has its page; the host serves whether or not they do, and no figure stands twice."""
    async with overseen(tmp_path) as host:
        await add(host, BLUE)
        await add(host, RED)
        assert (await get(host.http, f"/health/{BLUE}")).value["status"] == "SERVING"
        metrics = (await get(host.http, "/metrics")).body.decode()
        started = [line for line in metrics.splitlines() if "call_started_total" in line]
        assert len(started) == len({line.rpartition(" ")[0] for line in started})
        await remove(host, BLUE)
        assert (await get(host.http, "/health")).value["status"] == "SERVING"


async def test_a_host_without_an_agent_serves_those_that_come(tmp_path: Path) -> None:
    """A warm process: it is well by itself, and takes what its program contains."""
    agents = {probe.SERVICE: Mortal().agent}
    address = f"unix:{tmp_path}/sock"
    place = Place(address, tmp_path, FakeClock(), 0.0, program=agents.__getitem__)
    async with hosting((), place), grpc.aio.insecure_channel(address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        told = await health.Check(health_pb2.HealthCheckRequest())
        assert told.status == health_pb2.HealthCheckResponse.SERVING
        stub: Any = rpc.HostServiceStub(channel)
        wanted = PlannedAgent(name=BLUE, service=probe.SERVICE)
        added = await stub.AddAgent(pb.AddAgentRequest(agent=wanted, note=NOTE))
        assert added.agent.name == BLUE
        told = await health.Check(health_pb2.HealthCheckRequest(service=BLUE))
        assert told.status == health_pb2.HealthCheckResponse.SERVING


class _Set(Mortal):
    """With settings, as the planned one has none."""

    @property
    def agent(self) -> Agent:
        inner = super().agent

        @asynccontextmanager
        async def build(scope: Scope, _settings: Any) -> AsyncIterator[Any]:
            async with inner.build(scope, None) as servicer:
                yield servicer

        return Agent(contract=probe.DESCRIPTOR, settings=probe.ProbeRequest, build=build)


def call(host: Overseen, name: str, text: str = "you") -> Any:
    make: Any = host.channel.unary_unary(
        probe.path("Echo"),
        request_serializer=probe.ProbeRequest.SerializeToString,
        response_deserializer=probe.parse,
    )
    metadata = (("x-tandem-instance", name),) if name else ()
    return make(probe.ProbeRequest(text=text), metadata=metadata)


async def echo(host: Overseen, name: str) -> str:
    answer: Any = await call(host, name)
    return str(answer.text)


async def add(host: Overseen, name: str, text: str = "") -> Any:
    wanted = PlannedAgent(name=name, service=probe.SERVICE)
    if text:
        wanted.settings.Pack(probe.ProbeRequest(text=text))
    return await host.stub.AddAgent(pb.AddAgentRequest(agent=wanted, note=NOTE))


async def remove(host: Overseen, name: str) -> Any:
    return await host.stub.RemoveAgent(pb.RemoveAgentRequest(name=name, note=NOTE))


async def refusal(work: Any) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await work
    return failure_of(refused.value)


async def standings(host: Overseen) -> dict[str, Any]:
    told: Any = await host.stub.WatchHost(pb.WatchHostRequest()).read()
    return {one.name: one for one in told.agents}
