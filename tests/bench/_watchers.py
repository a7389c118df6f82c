"""Many raw discovery streams in a process of its own. Each asks as gRPC's clients do, decodes all
that it is told, and acknowledges it. Says when each of them had done so.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc
import uvloop
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.service.discovery.v3.ads_pb2_grpc import AggregatedDiscoveryServiceStub
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse

from tandemkit.core.clock import SystemClock
from tandemkit.mesh.listeners import TARGET
from tandemkit.mesh.snapshot import CLUSTER, ENDPOINTS, LISTENER, ROUTES
from tandemkit.supervise.tasks import Tasks

PORT_HEARD, ROUTE_HEARD, TOLD = "/watchers/PortHeard", "/watchers/RouteHeard", "/watchers/Told"
_CLOCK = SystemClock()
_KINDS: dict[str, Any] = {
    CLUSTER: Cluster,
    ENDPOINTS: ClusterLoadAssignment,
    LISTENER: Listener,
    ROUTES: RouteConfiguration,
}
# A connection each, as processes have.
_APART = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1))


class Watcher:
    """One stream, and what it knows."""

    def __init__(self, number: int, machine: str, news: asyncio.Event) -> None:
        self.ports: dict[str, set[int]] = {}
        self.prefixes: frozenset[str] = frozenset()
        # When it had acknowledged the last that it was told, unless it is about to.
        self.heard_s, self.is_settled = 0.0, True
        self._number, self._machine, self._news = number, machine, news
        self._names: dict[str, tuple[str, ...]] = {LISTENER: (TARGET,), CLUSTER: ()}
        self.told_count: Counter[str] = Counter()

    async def run(self, control: str) -> None:
        async with grpc.aio.insecure_channel(control, options=_APART) as channel:
            stub: Any = AggregatedDiscoveryServiceStub(channel)
            stream = stub.StreamAggregatedResources(wait_for_ready=True)
            for kind in (LISTENER, CLUSTER):
                await stream.write(self._asking(kind))
            while (told := await stream.read()) is not grpc.aio.EOF:
                self.is_settled = False
                for request in self._take(told):
                    await stream.write(request)
                self.heard_s, self.is_settled = _CLOCK.monotonic_s(), True
                self._news.set()

    def _asking(self, kind: str, told: DiscoveryResponse | None = None) -> DiscoveryRequest:
        request = DiscoveryRequest(type_url=kind, resource_names=self._names[kind])
        request.node.id = f"watcher-{self._number}"
        request.node.locality.zone = self._machine
        if told is not None:
            request.response_nonce, request.version_info = told.nonce, told.version_info
        return request

    def _take(self, told: DiscoveryResponse) -> list[DiscoveryRequest]:
        """The acknowledgement, and what comes to be asked for by it."""
        found = [_KINDS[told.type_url].FromString(one.value) for one in told.resources]
        self.told_count[told.type_url] += 1
        wanted: tuple[str, tuple[str, ...]] | None = None
        if told.type_url == ENDPOINTS:
            self.ports |= {one.cluster_name: _ports(one) for one in found}
        elif told.type_url == ROUTES:
            (routes,) = found
            matches = (one.match for host in routes.virtual_hosts for one in host.routes)
            self.prefixes = frozenset(one.prefix for one in matches)
        elif told.type_url == CLUSTER:
            wanted = ENDPOINTS, tuple(sorted(one.name for one in found))
        else:
            wanted = ROUTES, (TARGET,)
        asked = [self._asking(told.type_url, told)]
        if wanted is not None and self._names.get(wanted[0]) != wanted[1]:
            self._names[wanted[0]] = wanted[1]
            asked.append(self._asking(wanted[0]))
        return asked


def _ports(told: ClusterLoadAssignment) -> set[int]:
    return {
        one.endpoint.address.socket_address.port_value
        for locality in told.endpoints
        for one in locality.lb_endpoints
    }


class Watchers:
    """All of them, as a service for the benchmark."""

    def __init__(self, count: int, machine: str) -> None:
        self._news = asyncio.Event()
        self.all = [Watcher(number, machine, self._news) for number in range(count)]

    async def port_heard(self, wire: bytes, _context: Any) -> bytes:
        cluster, port = json.loads(wire)
        return await self._when(lambda one: one.ports.get(cluster) == {port})

    async def route_heard(self, wire: bytes, _context: Any) -> bytes:
        prefix = json.loads(wire)
        return await self._when(lambda one: prefix in one.prefixes)

    async def told(self, _wire: bytes, _context: Any) -> bytes:
        """How many responses of each type one stream got."""
        return json.dumps(self.all[0].told_count).encode()

    async def _when(self, knows: Callable[[Watcher], bool]) -> bytes:
        """When each of them knew it, once all do."""
        heard_s: dict[int, float] = {}
        while len(heard_s) < len(self.all):
            self._news.clear()
            for number, one in enumerate(self.all):
                if number not in heard_s and one.is_settled and knows(one):
                    heard_s[number] = one.heard_s
            if len(heard_s) < len(self.all):
                await self._news.wait()
        return json.dumps(list(heard_s.values())).encode()


async def serve(address: str, control: str, machine: str, count: str) -> None:
    watchers = Watchers(int(count), machine)
    server = grpc.aio.server()
    methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "PortHeard": grpc.unary_unary_rpc_method_handler(watchers.port_heard),
        "RouteHeard": grpc.unary_unary_rpc_method_handler(watchers.route_heard),
        "Told": grpc.unary_unary_rpc_method_handler(watchers.told),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("watchers", methods),))
    server.add_insecure_port(address)
    await server.start()
    async with Tasks() as tasks:
        for number, one in enumerate(watchers.all):
            tasks.spawn(f"watcher-{number}", one.run(control))
        await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:]))
