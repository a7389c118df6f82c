"""The agent next to its registry, as a caller sees both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.control.registry.agent import AGENT as REGISTRY
from services.control.traffic_policy.agent import AGENT
from tandem.control.config.v1 import registry_pb2
from tandem.control.config.v1 import traffic_policy_pb2 as cfg
from tandem.control.v1 import registration_pb2
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandem.control.v1 import traffic_policy_pb2 as nouns
from tandem.control.v1 import traffic_policy_service_pb2 as pb
from tandem.control.v1 import traffic_policy_service_pb2_grpc as rpc
from tandemkit.core.clock import Clock, SystemClock
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.testing.failures import Failure, failure_of
from tandemkit.testing.parts import short_folder
from tests.unit.services.control.registry.hosts import held

FILES, TOOLBOX = "tandem.utility.v1.FilesService", "tandem.utility.v1.ToolboxService"
NOTE = nouns.ChangeNote(author="ana", reason="trying")


class Caller:
    """Asks with a note, and for names that the fleet does not have yet unless told otherwise."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.stub = rpc.TrafficPolicyServiceStub(channel)
        self.registry = registry_rpc.RegistryServiceStub(channel)

    async def set(self, policy: nouns.ServicePolicy, **more: Any) -> int:
        said = {"note": NOTE, "allow_absent": True, **more}
        request = pb.SetServicePolicyRequest(policy=policy, **said)
        return (await self.stub.SetServicePolicy(request)).version

    async def replace(self, policy: nouns.TrafficPolicy, expected: int, **more: Any) -> int:
        said = {"note": NOTE, "allow_absent": True, **more}
        request = pb.ReplacePolicyRequest(policy=policy, expected_version=expected, **said)
        return (await self.stub.ReplacePolicy(request)).version

    async def drain(self, host: str, **more: Any) -> int:
        said = {"note": NOTE, "allow_absent": True, **more}
        return (await self.stub.DrainHost(pb.DrainHostRequest(host=host, **said))).version

    async def undo(self, version: int = 0, **more: Any) -> int:
        request = pb.UndoPolicyChangeRequest(version=version, note=NOTE, **more)
        return (await self.stub.UndoPolicyChange(request)).version

    async def get(self, version: int = 0) -> nouns.TrafficPolicy:
        return (await self.stub.GetPolicy(pb.GetPolicyRequest(version=version))).policy

    async def version(self) -> int:
        return (await self.stub.GetPolicy(pb.GetPolicyRequest())).version

    async def changes(self, **more: Any) -> list[nouns.PolicyChange]:
        request = pb.ListPolicyChangesRequest(**more)
        return list((await self.stub.ListPolicyChanges(request)).changes)

    async def register(self, *said: registration_pb2.Host) -> None:
        """They stay for a minute."""
        for one in said:
            await held(self.registry, one, 60)


@asynccontextmanager
async def policies_at(
    address: str, folder: Path, registry: str = "", clock: Clock | None = None
) -> AsyncIterator[None]:
    """The same folder again is a restart. With `registry` the agent uses another control's."""
    placed = [Placed(AGENT, cfg.TrafficPolicySettings(registry=registry))]
    if not registry:
        placed.insert(0, Placed(REGISTRY, registry_pb2.RegistrySettings()))
    async with hosting(placed, Place(address, folder, clock or SystemClock(), 0.0)):
        yield


@asynccontextmanager
async def policies(folder: Path, clock: Clock | None = None) -> AsyncIterator[Caller]:
    with short_folder() as sockets:
        address = f"unix:{sockets}/control"
        async with (
            policies_at(address, folder, clock=clock),
            grpc.aio.insecure_channel(address) as channel,
        ):
            yield Caller(channel)


async def failure(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return failure_of(raised.value)


def shares(service: str = FILES, **weights: int) -> nouns.ServicePolicy:
    told = [nouns.VersionShare(version=version, weight=one) for version, one in weights.items()]
    return nouns.ServicePolicy(service=service, shares=told)


def faulty(service: str = FILES, **said: Any) -> nouns.ServicePolicy:
    fault = nouns.InjectedFault(**{"abort_code": "UNAVAILABLE", "percent": 10, **said})
    return nouns.ServicePolicy(service=service, fault=fault)


def preferring(*headers: str, value: str = "yes") -> nouns.ServicePolicy:
    told = [nouns.VersionPreference(header=one, value=value, version="v2") for one in headers]
    return nouns.ServicePolicy(service=FILES, preferences=told)
