"""Calls to an agent of the same server, which do not leave the process: docs/design/in-process.md.

What runs is the wrapper that gRPC would run, in a task of its own; only the transport is missing.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import Message

from tandemkit.rpc.contract import Method
from tandemkit.rpc.local_call import (
    Caller,
    ManyRequests,
    StreamStream,
    StreamUnary,
    UnaryStream,
    UnaryUnary,
)
from tandemkit.rpc.local_context import LocalContext
from tandemkit.rpc.local_deadlines import Deadlines
from tandemkit.rpc.local_exchange import (
    BROKEN,
    LATE,
    MESSAGE_BYTES_MAX,
    STOPPED,
    Exchange,
    oversize,
)
from tandemkit.rpc.local_metadata import checked
from tandemkit.rpc.local_pipe import Pipe
from tandemkit.supervise.errands import Errands

# Names the instance that shall answer, which only the mesh can find.
INSTANCE_HEADER = "x-tandem-instance"
Way: TypeAlias = Callable[..., Any]
Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]
_CALLS: dict[tuple[bool, bool], type[Caller]] = {
    (False, False): UnaryUnary,
    (False, True): UnaryStream,
    (True, False): StreamUnary,
    (True, True): StreamStream,
}


@dataclass(frozen=True, slots=True)
class LocalMethod:
    """One method as the server would run it: `parse` reads a request's bytes, `answer` is the
    wrapped handler.
    """

    method: Method
    parse: Callable[[bytes], Message | None]
    answer: Callable[[Any, Any], Any]


class LocalAgents:
    """The methods mounted on one server, for callers on its event loop. `way` is what a mesh asks
    before each call; `inside` what the control plane's own agents ask, whose calls to each other
    make the mesh and cannot pass through it. Both answer with what runs a call of the method here,
    or None where it has to go through the mesh.
    """

    def __init__(self, serving: Callable[[str], bool]) -> None:
        self._permitted, self._all = _Ways(serving), _Ways(serving)
        self.way, self.inside = self._permitted.find, self._all.find
        self._permits: Callable[[str], bool] = _any_service
        self._errands = Errands()
        self._deadlines = Deadlines()
        # Handlers start from here and never see their caller's context variables.
        self._context = contextvars.copy_context()

    def put(self, local: LocalMethod) -> None:
        """Makes one more method callable."""
        self._permitted.loop = self._all.loop = asyncio.get_running_loop()
        service = local.method.path.split("/")[1]
        way = _Way(local, self._errands, self._deadlines, self._context)
        self._all.by_path[local.method.path] = service, way
        self.permit(self._permits)

    def permit(self, permits: Callable[[str], bool]) -> None:
        """From now on policy lets only those services' calls stay in the process: not while it has
        weights, faults or a drain for one. It is asked now and not for each call.
        """
        self._permits = permits
        self._permitted.by_path = {
            path: found for path, found in self._all.by_path.items() if permits(found[0])
        }

    async def drain(self, grace_s: float) -> None:
        """Lets calls in progress finish for `grace_s`, then cancels them."""
        await self._errands.end(grace_s)


def _any_service(_service: str) -> bool:
    return True


class _Ways:
    """Some of a server's methods, by path, with the service of each."""

    def __init__(self, serving: Callable[[str], bool]) -> None:
        self.by_path: dict[str, tuple[str, _Way]] = {}
        self.loop: asyncio.AbstractEventLoop | None = None
        self._serving = serving

    def find(self, path: str, headers: Metadata | None = None) -> Way | None:
        """What runs a call of the method; None where nobody here may."""
        found = self.by_path.get(path)
        if found is None or (headers and any(key == INSTANCE_HEADER for key, _value in headers)):
            return None
        service, way = found
        if way.sticky or asyncio.get_running_loop() is not self.loop:
            return None
        return way if self._serving(service) else None


class _Way:
    """Called like a multicallable of grpc.aio, returns a call of the method's kind."""

    def __init__(
        self,
        local: LocalMethod,
        errands: Errands,
        deadlines: Deadlines,
        context: contextvars.Context,
    ) -> None:
        method = local.method
        self._local = local
        self._errands = errands
        self._deadlines = deadlines
        self._context = context
        self._many = method.client_streaming, method.server_streaming
        self._call = _CALLS[self._many]
        self._response: Callable[[bytes], Any] = method.response.FromString
        # Its caller belongs to the instance that the header's hash names, which may be elsewhere.
        self.sticky = bool(method.affinity)

    def __call__(
        self,
        request: Any = None,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        **_of_transport: Any,
    ) -> Any:
        exchange = Exchange(checked(metadata) if metadata else (), timeout, self._deadlines)
        parse, wire = self._response, b""
        many_requests, many_responses = self._many
        if many_responses:
            exchange.responses = Pipe()
        if many_requests:
            exchange.requests = Pipe()
        elif isinstance(request, bytes):  # a caller without types gets what it gives
            wire, parse = request, bytes
        else:
            wire = request.SerializeToString()
        call = self._call(exchange, parse)
        if timeout is not None and timeout <= 0:
            exchange.end(LATE)
        elif len(wire) > MESSAGE_BYTES_MAX:
            exchange.end(oversize("SERVER", wire))
        else:
            served = self._errands.start(self._serve(exchange, wire), self._context.copy())
            exchange.served_by(served)
        if many_requests and request is not None and not call.done():
            assert isinstance(call, ManyRequests)
            call.iterates()
            exchange.fed_by(self._errands.start(call.send(request)))
        return call

    async def _serve(self, exchange: Exchange, wire: bytes) -> None:
        """The server's side of one call, whose outcome goes to `exchange` in any case."""
        local = self._local
        context = LocalContext(exchange, local.parse)
        request = local.parse(wire) if exchange.requests is None else context.requests()
        status = BROKEN
        try:
            response = await local.answer(request, context)
            ending = context.ending()
            if exchange.responses is None and ending.code is grpc.StatusCode.OK:
                exchange.response = response.SerializeToString()
                if len(exchange.response) > MESSAGE_BYTES_MAX:
                    ending = oversize("CLIENT", exchange.response)
            status = ending
        except (grpc.aio.AbortError, grpc.aio.UsageError, asyncio.CancelledError):
            # Unless the abort, which only the first of two is, or the caller has said how it ends.
            status = STOPPED
        finally:
            exchange.finish(status)
