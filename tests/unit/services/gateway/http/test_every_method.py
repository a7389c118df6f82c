"""Every method of every agent, found by its descriptors, over the gateway: reached, and within the
time that its caller has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha._async import ReflectionServicer
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server

from services.gateway.http import listening, rest
from services.gateway.http.directory import Service
from services.gateway.http.door import Bounds
from services.gateway.http.front import Front
from services.gateway.http.guard import Guard, Terms
from services.gateway.http.origins import Origins
from services.gateway.http.rates import Rates
from services.gateway.http.serving import serving
from tandem.gateway.config.v1 import http_pb2 as cfg
from tandemkit.core.clock import SystemClock
from tandemkit.core.token import Token
from tandemkit.hosting.fleet_methods import FleetMethods
from tandemkit.hosting.relay import Relay
from tandemkit.rpc.callers import Callers
from tandemkit.rpc.client import mesh
from tandemkit.rpc.contract import Method
from tests.repo.checkout import root
from tools.contracts import image
from tools.rules import agents
from tools.rules.tree import Tree

# gRPC sends what is left in steps that grow with it.
CALLER_S, ROUNDED_S = 1.5, 0.1
LINES = "application/x-ndjson"


Asking = tuple[str, aiohttp.ClientSession, tuple[Service, ...]]


@dataclass
class Everybody(grpc.GenericRpcHandler):
    """Answers every method of every contract with an empty message, and notes who was called and
    for how long its caller waits.
    """

    streams: dict[str, bool]
    called: dict[str, float | None] = field(default_factory=dict)

    def service(self, call: grpc.HandlerCallDetails) -> Any:
        path = call.method
        if path not in self.streams:
            return None

        async def answer(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            self.called[path] = context.time_remaining()
            async for _request in requests:
                pass
            yield b""

        return grpc.stream_stream_rpc_method_handler(answer)


@pytest.fixture(scope="module")
def contracts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of all agents, compiled: this process need not have their stubs."""
    made = tmp_path_factory.mktemp("contracts") / "image.binpb"
    image(root() / "protos", made)
    pool: Any = DescriptorPool()
    for file in FileDescriptorSet.FromString(made.read_bytes()).file:
        pool.Add(file)
    return pool


@asynccontextmanager
async def front_of(everybody: Everybody, pool: Any, folder: Path) -> AsyncIterator[Asking]:
    """A gateway before all of them, and a client of it with the fleet's token."""
    server = grpc.aio.server()
    names = [name for _path, name in agents.contracts(Tree.read(root()))]
    services = [one.service for one in names]
    add_ServerReflectionServicer_to_server(ReflectionServicer(services, pool), server)
    server.add_generic_rpc_handlers((everybody,))
    server.add_insecure_port(address := f"unix:{folder}/grpc")
    token, clock, settings = Token.kept(folder / "token"), SystemClock(), cfg.HttpSettings()
    async with AsyncExitStack() as stack:
        await server.start()
        stack.push_async_callback(server.stop, 0)
        wire = await stack.enter_async_context(mesh(address, token=token))
        methods = FleetMethods(wire, clock, has_fleet=True)
        front = Front(Relay(wire, methods, token, Callers(token)), clock, Rates(settings, clock))
        faces = (rest.face(front, 1 << 20),)
        guard = Guard(front, faces, Terms((), Origins(())))
        held = listening.held("127.0.0.1:0", folder)
        await stack.enter_async_context(serving(held, faces, guard, Bounds(100), front.drain))
        headers = {"authorization": token.bearer, "x-tandem-timeout": f"{CALLER_S}s"}
        client = await stack.enter_async_context(aiohttp.ClientSession(headers=headers))
        found = await front.directory.services()
        yield f"http://{listening.address_of(held)}", client, found


async def test_m179_every_rpc_is_reached_over_http_with_its_deadline(
    contracts: Any, tmp_path: Path
) -> None:
    """By its short name, unary or streaming; the agent has no more time than the caller or the
    contract allows, whichever is less.
    """
    expected = _methods(contracts)
    everybody = Everybody(dict.fromkeys(expected, True))
    async with front_of(everybody, contracts, tmp_path) as (url, client, found):
        for service in found:
            for method in service.methods.values():
                await _ask(client, f"{url}/api/{service.short}/{method.name}", method)
    assert sorted(everybody.called) == sorted(expected)
    assert len(expected) > 150
    for path, left_s in everybody.called.items():
        limit_s = min(CALLER_S, expected[path].deadline_s or CALLER_S)
        assert left_s is not None, path
        assert limit_s - 1 < left_s <= limit_s + ROUNDED_S, path


def _methods(pool: Any) -> dict[str, Method]:
    names = [name for _path, name in agents.contracts(Tree.read(root()))]
    services = [pool.FindServiceByName(one.service) for one in names]
    found = [Method.of(one) for service in services for one in service.methods]
    return {one.path: one for one in found}


async def _ask(client: aiohttp.ClientSession, url: str, method: Method) -> None:
    media_type = LINES if method.client_streaming else "application/json"
    headers = {"content-type": media_type, "accept": LINES}
    async with client.post(url, data=b"{}\n", headers=headers) as told:
        assert told.status == 200, (url, await told.text())
        assert await told.read() in {b"{}", b"{}\n"}
