"""The asyncio gRPC server that every host runs: agents mounted on it, health, reflection, and an
orderly end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc

from tandemkit.core.errors import Bug
from tandemkit.core.token import Token
from tandemkit.rpc import admin, reflection
from tandemkit.rpc.callers import Callers
from tandemkit.rpc.calls import Door, Serve, wrapped
from tandemkit.rpc.contract import Contract, Method
from tandemkit.rpc.elsewhere import Elsewhere, Strangers
from tandemkit.rpc.gate import Absent, Gate
from tandemkit.rpc.health import SERVICE as HEALTH
from tandemkit.rpc.health import Health
from tandemkit.rpc.local import LocalAgents, LocalMethod
from tandemkit.rpc.report import Report
from tandemkit.rpc.seats import Seat
from tandemkit.rpc.streams import Streams
from tandemkit.rpc.turns import Turns, unhurried

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
        self.token, self.callers = token, Callers(token)
        self.health = Health()
        self.local = LocalAgents(self.health.serving)
        self._report = report or Report()
        # By the key of their health: the service, or the name of an instance that was added.
        self._seats: dict[str, Seat] = {}
        self._calls_max: Mapping[str, int] = {}
        self.turns = Turns(self._report.begun, self._in_progress)
        self._around = self._report, self.turns, self.callers
        self._drains: list[Callable[[], None]] = []
        self._elsewhere: Elsewhere | None = None
        self._others: list[str] = []
        self._server = grpc.aio.server(options=_OPTIONS)
        self._gate = Gate(token, self.callers)
        self._server.add_generic_rpc_handlers((self._gate,))
        # What it has described, also what came and went.
        self._described: dict[str, None] = {}

    def mount(self, contract: Contract, servicer: object | None, name: str = "") -> Seat:
        """Adds an agent, called `name`, NOT_SERVING until told otherwise; another servicer may take
        its seat later, also where there is none yet. Raises Bug for one of another contract.
        """
        seat = Seat(contract, servicer)
        service = contract.service.full_name
        if service in self._seats:
            raise Bug("a server has one servicer for each contract", service=service)
        for method, door, answer in _answers(contract, seat, self._around):
            self.local.put(LocalMethod(method, door.parse, answer))
            self._gate.put(method, _wire(door, answer), name)
        self._seated(service, seat)
        self.health.put(service, serving=False)
        return seat

    def add(self, contract: Contract, servicer: object | None, name: str) -> Seat:
        """The same for one more instance, at any time: it answers calls that say its name, and it
        is `name` whose health is told.
        """
        seat = Seat(contract, servicer)
        for method, door, answer in _answers(contract, seat, self._around):
            self._gate.add(method, _wire(door, answer), name)
        self._seated(name, seat)
        self.health.put(name, serving=False, apart=True)
        return seat

    def remove(self, contract: Contract, name: str) -> None:
        """Ends what `add` began."""
        for method in contract.methods:
            self._gate.drop(method.path, name)
        del self._seats[name]
        self.health.forget(name)

    def plumb(self, contract: Contract, servicer: object, drain: Callable[[], None]) -> None:
        """Adds a contract of ours that is no agent: the server itself answers it, beside health and
        reflection. So it has no health and no limits by policy, and its calls are not counted.
        `drain` ends its streams when the server does.
        """
        seat, callers = Seat(contract, servicer), Callers(None)
        answers = _answers(contract, seat, (Report(), unhurried(), callers))
        handlers = {method.name: _wire(door, answer) for method, door, answer in answers}
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
        self._calls_max = calls_max
        for seat in self._seats.values():
            seat.limit(calls_max.get(seat.service, 0))

    def served(self, task: asyncio.Task[Any]) -> str | None:
        """The service whose call the task serves, or the name of an instance that was added; None
        where it serves none. May be asked from any thread.
        """
        return next((key for key, seat in tuple(self._seats.items()) if seat.holds(task)), None)

    async def start(self, address: str, besides: Path | None = None) -> int:
        """Listens on `host:port` or `unix:/path` and returns the port, which is the kernel's choice
        for port 0; `besides` is a socket that its owner alone can reach.
        """
        self._add(self.health.handler)
        for service in (HEALTH, *admin.SERVICES):
            self._described[service] = None
        streams = Streams()
        self._drains.append(streams.drain)
        for handler in (
            *admin.handlers(streams),
            *reflection.handlers(self._described.keys(), streams, self._elsewhere),
        ):
            self._add(handler)
        for service in (HEALTH, *admin.PUBLIC, *reflection.SERVICES):
            self._gate.open(service)
        if self._elsewhere is not None:
            # Behind all others: it takes what they leave.
            known = (*self._seats, *self._others)
            strangers = Strangers(known, self._elsewhere.refusal)
            self._server.add_generic_rpc_handlers((strangers,))
        self._server.add_generic_rpc_handlers((Absent(),))
        port = self._server.add_insecure_port(address)
        if besides is not None:
            _listen_privately(self._server, besides)
        await self._server.start()
        return port

    async def drain(self, grace_s: float = DRAIN_GRACE_S) -> None:
        """Says NOT_SERVING, takes no new calls, lets those in progress finish for `grace_s`, then
        cancels them.
        """
        self.health.drain()
        for drain in (*(seat.drain for seat in self._seats.values()), *self._drains):
            drain()
        async with asyncio.TaskGroup() as ends:
            ends.create_task(self.local.drain(grace_s))
            await self._server.stop(grace_s)

    def _in_progress(self) -> int:
        return sum(seat.passing for seat in self._seats.values())

    def _add(self, handler: grpc.GenericRpcHandler) -> None:
        self._server.add_generic_rpc_handlers((handler,))
        if isinstance(handler, grpc.ServiceRpcHandler):
            self._others.append(handler.service_name())

    def _seated(self, key: str, seat: Seat) -> None:
        self._seats[key] = seat
        self._described[seat.service] = None
        seat.limit(self._calls_max.get(seat.service, 0))


def _answers(
    contract: Contract, seat: Seat, around: tuple[Report, Turns, Callers]
) -> Iterator[tuple[Method, Door, Serve]]:
    for method in contract.methods:
        door = Door(contract, method, seat.room(method), *around)
        yield method, door, wrapped(door, seat.serve(method))


def _listen_privately(server: grpc.aio.Server, path: Path) -> None:
    server.add_insecure_port(f"unix:{path}")
    path.chmod(0o600)


def _wire(door: Door, answer: Serve) -> grpc.RpcMethodHandler[Any, Any]:
    make = _HANDLERS[door.method.client_streaming, door.method.server_streaming]
    return make(
        answer,
        request_deserializer=door.parse,
        response_serializer=door.method.response.SerializeToString,
    )
