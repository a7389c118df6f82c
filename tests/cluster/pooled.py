"""A fleet with a pool of warm hosts, and a client that reaches their instances over the mesh."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc

from services.control.fleet_status.agent import AGENT as FLEET_STATUS
from services.control.machine.agent import AGENT as MACHINE
from services.control.registry.agent import AGENT as REGISTRY
from services.platform.agent_pool.agent import AGENT as AGENT_POOL
from services.utility.files.agent import AGENT as FILES
from tandem.platform.v1 import agent_pool_service_pb2 as pb
from tandem.platform.v1 import agent_pool_service_pb2_grpc as rpc
from tandem.utility.v1 import files_service_pb2 as files_pb
from tandem.utility.v1 import files_service_pb2_grpc as files_rpc
from tandemkit.core.clock import SystemClock
from tandemkit.mesh.bootstrap import VARIABLE, Node, bootstrap
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.checkouts import write_deploy
from tandemkit.testing.parts import demand, short_folder
from tests.cluster import relay_client
from tests.cluster.eventually import eventually
from tests.cluster.fleets import Checkout
from tests.cluster.polyglot_fleet import build_from_sources

SERVED = (REGISTRY, FLEET_STATUS, MACHINE, AGENT_POOL)
SERVICE = FILES.promise.service.full_name
POOL = "pool-python"
_CLOCK = SystemClock()
_PASSING = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED})


@dataclass(frozen=True)
class Pooled:
    """The fleet, and calls to it as anybody makes them: what may be tried again is."""

    checkout: Checkout
    channel: grpc.aio.Channel

    @property
    def pool(self) -> Any:
        return rpc.AgentPoolServiceStub(self.channel)

    async def allocate(self, suffix: str, service: str = SERVICE, **more: Any) -> Any:
        """The answer, once there is a slot."""
        request = pb.AllocateAgentRequest(agent_type=service, agent_name=suffix, **more)
        return await self.again(lambda: self.pool.AllocateAgent(request))

    async def write(self, name: str, path: str) -> None:
        """Has the instance keep a file."""
        stub: Any = files_rpc.FilesServiceStub(self.channel)
        request = files_pb.WriteFileRequest(request_id=f"{name}-{path}", path=path, content=b"x")
        await self.again(lambda: stub.WriteFile(request, metadata=to(name)))

    async def kept(self, name: str) -> list[str]:
        """The files that the instance has."""
        stub: Any = files_rpc.FilesServiceStub(self.channel)
        request = files_pb.ListFilesRequest()
        told = await self.again(lambda: stub.ListFiles(request, metadata=to(name)))
        return [one.path for one in told.files]

    async def pools(self) -> Any:
        """That of Python."""
        return (await self.again(lambda: self.pool.GetPools(pb.GetPoolsRequest()))).pools[0]

    async def again(self, ask: Any) -> Any:
        """As a client does: after the delay, where the answer says that there is one."""
        deadline_s = _CLOCK.monotonic_s() + 30.0
        while True:
            try:
                return await ask()
            except grpc.aio.AioRpcError as error:
                found = RemoteFailure.of(error)
                if found.code not in _PASSING or _CLOCK.monotonic_s() > deadline_s:
                    raise
                await _CLOCK.sleep(found.retry_after_s or 0.05)


def to(name: str) -> tuple[tuple[str, str], ...]:
    return (("x-tandem-instance", name),)


def _write(folder: Path, hosts: int, slots: int, others: Mapping[str, str]) -> None:
    """`others` are languages, each with the pattern of the agents that its pool takes."""
    pools: list[dict[str, Any]] = [
        {"name": one, "group": f"pool-{one}", "agents": [agents], "slots_per_host": slots}
        for one, agents in {"python": "*", **others}.items()
    ]
    settings = {AGENT_POOL.name: {"pools": pools, "idle_min": "0.05s"}}
    groups: list[dict[str, Any]] = [
        {"name": "control", "agents": ["control-*"]},
        {"name": "machine", "agents": ["control-machine"]},
        {"name": "agents", "agents": ["*"]},
        {"name": POOL, "agents": [], "replicas": hosts},
        *({"name": f"pool-{one}", "agents": [], "runtime": one} for one in others),
    ]
    files: dict[str, Any] = {"fleet/layout/groups.yaml": {"groups": groups}}
    files["fleet/profiles/laptop.yaml"] = {
        "name": "laptop",
        "machines": ["laptop"],
        "groups": [{"group": one["name"]} for one in groups],
    }
    for one in SERVED:
        stanza: dict[str, Any] = {"name": one.name, "service": one.promise.service.full_name}
        if one.name in settings:
            stanza["settings"] = settings[one.name]
        family = one.name.partition("-")[0]
        files.setdefault(f"fleet/{family}.yaml", {"agents": []})["agents"].append(stanza)
    write_deploy(folder, files)


@asynccontextmanager
async def pooled(
    hosts: int, slots: int, others: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Pooled]:
    """Skips where the tools of another language are absent."""
    for one in others:
        demand(one)
    with short_folder() as folder:
        _write(folder, hosts, slots, others)
        checkout = Checkout(folder)
        if others:
            build_from_sources(checkout)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(checkout.tandem, "down")
            told = await checkout.told("up", "-d")
            socket = folder / "client.sock"
            known = {VARIABLE: bootstrap(Node("client", "laptop"), told["controls"])}
            argv = (sys.executable, "-m", relay_client.__name__, f"unix:{socket}", "xds:///tandem")
            command = Command(argv, folder / "client.log", env={**checkout.variables, **known})

            async def listens() -> None:
                assert socket.exists()

            await stack.enter_async_context(supervised_process(command, ready=listens))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"unix:{socket}"))
            found = Pooled(checkout, channel)
            await eventually(found.pools, lambda pool: len(pool.hosts) == hosts)
            yield found
