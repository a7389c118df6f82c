"""Instances that are added to a host while it runs."""

from __future__ import annotations

import signal
from http import HTTPStatus
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandem.control.v1 import host_service_pb2 as pb
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandem.control.v1 import traffic_policy_pb2 as policy
from tandem.fleet.v1.plan_pb2 import PlannedAgent
from tandemkit.rpc.local import INSTANCE_HEADER
from tests.cluster.eventually import eventually
from tests.contract.runtime.calls import failed
from tests.contract.runtime.hosted import Fleet, Host, ended

CODE = grpc.StatusCode
NOTE = policy.ChangeNote(author="ann", reason="a test")


class AddingPromises:
    async def test_an_added_instance_is_reached_by_its_name(self, fleet: Fleet, host: Host) -> None:
        """In the registry under that name, with a health of its own; removed it is gone, and no
        other instance answers in its place.
        """
        name, good = f"{host.runtime.agent}-added", host.runtime.good
        told = await added(host, name)
        assert (told.agent.name, told.agent.added, told.was_so_already) == (name, True, False)
        assert (await added(host, name)).was_so_already
        here = ((INSTANCE_HEADER, name),)
        assert good.is_right(await host.ask(good, metadata=here))
        health: Any = health_pb2_grpc.HealthStub(host.open_channel)
        asked = health_pb2.HealthCheckRequest(service=name)
        assert (await health.Check(asked)).status == health_pb2.HealthCheckResponse.SERVING
        await until_placed(fleet, host, name, there=True)
        remove = pb.RemoveAgentRequest(name=name, note=NOTE)
        assert not (await host.stub.RemoveAgent(remove)).was_so_already
        assert (await host.stub.RemoveAgent(remove)).was_so_already
        found = await failed(host.unary(good.method)(good.request, metadata=here))
        assert (found.code, found.reason) == (CODE.UNAVAILABLE, "RESTARTING")
        assert good.is_right(await host.ask(good))
        await until_placed(fleet, host, name, there=False)

    async def test_a_host_that_has_no_agent_is_there_for_what_is_added(self, fleet: Fleet) -> None:
        """In the registry and well, and out of it as any other; nobody finds an agent on it that
        its program has and its plan has not.
        """
        host = await fleet.start(warm=True)
        assert list((await fleet.until_there(host.name)).placements) == []
        assert (await host.get("/health")).status == HTTPStatus.OK
        name, good = f"{host.runtime.agent}-added", host.runtime.good
        assert (await failed(host.unary(good.method)(good.request))).code is CODE.UNIMPLEMENTED
        assert (await added(host, name)).agent.added
        assert good.is_right(await host.ask(good, metadata=((INSTANCE_HEADER, name),)))
        await until_placed(fleet, host, name, there=True)
        (placed,) = (await fleet.hosts())[host.name].placements
        async with fleet.control() as channel:
            stub = registry_rpc.RegistryServiceStub(channel)
            request = registry.GetValueRequest(key=f"contracts/{placed.contract_digest}")
            assert (await stub.GetValue(request)).value.content
        host.signal(signal.SIGTERM)
        assert await ended(host.process) == 0
        await fleet.until_gone(host.name)

    async def test_what_cannot_be_added_or_removed_is_refused(self, host: Host) -> None:
        """With a reason, and nothing changed."""
        named = PlannedAgent(
            name=f"{host.runtime.agent}-added", service="tandem.none.v1.NoneService"
        )
        found = await failed(host.stub.AddAgent(pb.AddAgentRequest(agent=named, note=NOTE)))
        assert (found.code, found.reason) == (CODE.NOT_FOUND, "AGENT_NOT_IN_PROGRAM")
        for name in (host.runtime.agent, "other-agent"):
            named = PlannedAgent(name=name, service=host.runtime.service)
            found = await failed(host.stub.AddAgent(pb.AddAgentRequest(agent=named, note=NOTE)))
            assert (found.code, found.reason) == (CODE.INVALID_ARGUMENT, "INSTANCE_REFUSED")
        remove = pb.RemoveAgentRequest(name=host.runtime.agent, note=NOTE)
        found = await failed(host.stub.RemoveAgent(remove))
        assert (found.code, found.reason) == (CODE.FAILED_PRECONDITION, "AGENT_PLANNED")


async def added(host: Host, name: str) -> Any:
    wanted = PlannedAgent(name=name, service=host.runtime.service)
    return await host.stub.AddAgent(pb.AddAgentRequest(agent=wanted, note=NOTE))


async def until_placed(fleet: Fleet, host: Host, name: str, *, there: bool) -> None:
    """Until the registry has, or has no more, the instance on the host."""

    async def placed() -> bool:
        found = (await fleet.hosts())[host.name]
        return any(one.instance == name and one.serving for one in found.placements)

    await eventually(placed, lambda found: found is there)
