"""The asyncio gRPC server that every host runs: agents mounted on it, health, reflection, and an
orderly end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from tandemkit.core.errors import Bug
from tandemkit.core.token import Token
from tandemkit.rpc import admin, reflection
from tandemkit.rpc.calls import Door, Serve, wrapped
from tandemkit.rpc.contract import Contract, Method
from tandemkit.rpc.elsewhere import Elsewhere, Strangers
from tandemkit.rpc.gate import Gate
from tandemkit.rpc.health import SERVICE as HEALTH
from tandemkit.rpc.health import Health
from tandemkit.rpc.local import LocalAgents, LocalMethod
from tandemkit.rpc.report import Report
from tandemkit.rpc.room import Room
from tandemkit.rpc.seats import Seat
from tandemkit.rpc.streams import Streams

DRAIN_GRACE_S = 10.0
_OPTIONS = (
    # Without it a leftover server on the same port would take half of our connections and never
    # answer.
    ("grpc.so_reuseport", 0),
    # A client may ping a quiet connection as often as the mesh's keepalive does.
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ("grpc.keepalive_permit_without_calls", 1),
)
_HANDLERS = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


class Server:
    """Mount agents, `start`, and `drain` at the end. One event loop, one port."""

    def __init__(self, report: Report | None = None, token: Token | None = None) -> None:
        """Whoever calls has to show `token`, but for what is public; None lets everybody in."""
        self.token = token
        self.health = Health()
        self.local = LocalAgents(self.health.serving)
        self._report = report or Report()
        self._rooms: list[tuple[str, Room]] = []
        self._drains: list[Callable[[], None]] = []
        self._elsewhere: Elsewhere | None = None
        self._others: list[str] = []
        self._server = grpc.aio.server(options=_OPTIONS)
        self._gate = Gate(token)
        self._server.add_generic_rpc_handlers((self._gate,))
        self._services: list[str] = []

    def mount(self, contract: Contract, servicer: object | None) -> Seat:
        """Adds an agent, NOT_SERVING until told otherwise; another servicer may take its seat
        later, also where there is none yet. Raises Bug where it does not implement its contract.
        """
        seat = Seat(contract, servicer)
        service = contract.service.full_name
        if service in self._services:
            raise Bug("a server has one servicer for each contract", service=service)
        for method in contract.methods:
            handler = self._handler(contract, method, seat)
            self._gate.put(method.path, handler, public=method.public)
        self._services.append(service)
        self.health.put(service, serving=False)
        return seat

    def plumb(self, contract: Contract, servicer: object, drain: Callable[[], None]) -> None:
        """Adds a contract of ours that is no agent: the server itself answers it, beside health and
        reflection. So it has no health and no limits by policy, and its calls are not counted.
        `drain` ends its streams when the server does.
        """
        seat, report = Seat(contract, servicer), Report()
        handlers = {}
        for method in contract.methods:
            door = Door(contract, method, seat.room(method), report)
            handlers[method.name] = _wire(door, wrapped(door, seat.serve(method)))
        name = contract.service.full_name
        self.also(grpc.method_handlers_generic_handler(name, handlers), drain)

    def also(
        self, handler: grpc.GenericRpcHandler, drain: Callable[[], None], *, public: bool = False
    ) -> None:
        """Adds a service that is none of our contracts; `drain` ends its streams when the server
        does. One that is public asks nobody for the token.
        """
        self._add(handler)
        if public and isinstance(handler, grpc.ServiceRpcHandler):
            self._gate.open(handler.service_name())
        self._drains.append(drain)

    def answer_for(self, elsewhere: Elsewhere) -> Callable[[], None]:
        """From its start on the server answers for agents that it does not serve: their reflection,
        their health, and calls that name one. What is returned tells watchers of a change.
        """
        self._elsewhere = self.health.elsewhere = elsewhere
        return self.health.wake

    def limit(self, calls_max: Mapping[str, int]) -> None:
        """Calls of one method in progress that policy lets in, by service; a service that is not
        named has its contract's limits alone.
        """
        for service, room in self._rooms:
            room.limit(calls_max.get(service, 0))

    def served(self, task: asyncio.Task[Any]) -> str | None:
        """The service whose call the task serves, if it does. May be asked from any thread."""
        rooms = tuple(self._rooms)
        return next((service for service, room in rooms if room.holds(task)), None)

    async def start(self, address: str, besides: Path | None = None) -> int:
        """Listens on `host:port` or `unix:/path` and returns the port, which is the kernel's choice
        for port 0; `besides` is a socket that its owner alone can reach.
        """
        probes = {
            "Check": grpc.unary_unary_rpc_method_handler(
                self.health.Check,
                request_deserializer=health_pb2.HealthCheckRequest.FromString,
                response_serializer=health_pb2.HealthCheckResponse.SerializeToString,
            ),
            "Watch": grpc.unary_stream_rpc_method_handler(
                self.health.Watch,
                request_deserializer=health_pb2.HealthCheckRequest.FromString,
                response_serializer=health_pb2.HealthCheckResponse.SerializeToString,
            ),
        }
        self._add(grpc.method_handlers_generic_handler(HEALTH, probes))
        described = (*self._services, HEALTH, *admin.SERVICES)
        streams = Streams()
        self._drains.append(streams.drain)
        for handler in (
            *admin.handlers(streams),
            *reflection.handlers(described, streams, self._elsewhere),
        ):
            self._add(handler)
        for service in (HEALTH, *admin.PUBLIC, *reflection.SERVICES):
            self._gate.open(service)
        if self._elsewhere is not None:
            # Behind all others: it takes what they leave.
            known = (*self._services, *self._others)
            strangers = Strangers(known, self._elsewhere.refusal)
            self._server.add_generic_rpc_handlers((strangers,))
        port = self._server.add_insecure_port(address)
        if besides is not None:
            self._listen_privately(besides)
        await self._server.start()
        return port

    async def drain(self, grace_s: float = DRAIN_GRACE_S) -> None:
        """Says NOT_SERVING, takes no new calls, lets those in progress finish for `grace_s`, then
        cancels them.
        """
        self.health.drain()
        for drain in (*(room.drain for _service, room in self._rooms), *self._drains):
            drain()
        async with asyncio.TaskGroup() as ends:
            ends.create_task(self.local.drain(grace_s))
            await self._server.stop(grace_s)

    def _listen_privately(self, path: Path) -> None:
        self._server.add_insecure_port(f"unix:{path}")
        path.chmod(0o600)

    def _add(self, handler: grpc.GenericRpcHandler) -> None:
        self._server.add_generic_rpc_handlers((handler,))
        if isinstance(handler, grpc.ServiceRpcHandler):
            self._others.append(handler.service_name())

    def _handler(
        self, contract: Contract, method: Method, seat: Seat
    ) -> grpc.RpcMethodHandler[Any, Any]:
        room = seat.room(method)
        self._rooms.append((contract.service.full_name, room))
        door = Door(contract, method, room, self._report)
        answer = wrapped(door, seat.serve(method))
        self.local.put(LocalMethod(method, door.parse, answer))
        return _wire(door, answer)


def _wire(door: Door, answer: Serve) -> grpc.RpcMethodHandler[Any, Any]:
    make = _HANDLERS[door.method.client_streaming, door.method.server_streaming]
    return make(
        answer,
        request_deserializer=door.parse,
        response_serializer=door.method.response.SerializeToString,
    )
