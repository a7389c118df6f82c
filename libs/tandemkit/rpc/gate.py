"""Who may call a server: whoever shows the fleet's token, anybody for what is public, and a caller
with a key of its own for what asks who calls.

It stands where gRPC looks up a call's handler, so nothing of a refused call is read, and nothing
that is served can be mounted past it. docs/design/safety.md says what is public, and why.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc

from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.core import log
from tandemkit.core.token import HEADER, Token
from tandemkit.rpc import failure
from tandemkit.rpc.callers import BEARER_OF_KEY, Callers
from tandemkit.rpc.context import Context
from tandemkit.rpc.contract import Method
from tandemkit.rpc.failure import Refusal
from tandemkit.rpc.local import INSTANCE_HEADER
from tandemkit.rpc.room import restarting

if TYPE_CHECKING:
    # Only its stubs take parameters.
    Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]

_LOGGER = logging.getLogger("tandemkit.rpc")
_PATH_LENGTH_MAX = 200
Metadata: TypeAlias = Iterable[tuple[str, str | bytes]] | None


class Gate(grpc.GenericRpcHandler):
    """The first that gRPC asks who serves a call. Without a token it lets everybody in."""

    def __init__(self, token: Token | None, callers: Callers | None = None) -> None:
        self._token, self._callers = token, callers or Callers(token)
        self._handlers: dict[str, Handler] = {}
        # By path and by the name that a call has to say; and whose name a call may say besides.
        self._named: dict[str, dict[str, Handler]] = {}
        self._unnamed: dict[str, str] = {}
        self._public_paths: set[str] = set()
        self._public_services: set[str] = set()
        # What a caller with a key of its own may call.
        self._asking_paths: set[str] = set()

    def put(self, method: Method, handler: Handler, name: str = "") -> None:
        """One more method of an agent, which answers as `name` and where a call says no name."""
        self._handlers[method.path], self._unnamed[method.path] = handler, name
        self._note(method)

    def add(self, method: Method, handler: Handler, name: str) -> None:
        """A method of an instance that answers only where a call says its name."""
        self._named.setdefault(method.path, {})[name] = handler
        self._note(method)

    def drop(self, path: str, name: str) -> None:
        """Takes that back. Calls that still say the name are refused: others may have it."""
        del self._named[path][name]

    def open(self, service: str) -> None:
        """Of this service, which is none of our contracts, every method is public."""
        self._public_services.add(service)

    def service(self, call: grpc.HandlerCallDetails) -> Handler | None:
        path, token = call.method, self._token
        if token is not None and path not in self._public_paths:
            refuse = self._refusal(token, path, call.invocation_metadata)
            if refuse is not None and path[1:].partition("/")[0] not in self._public_services:
                return _ending(path, refuse)
        if path in self._named:
            return self._of_instance(path, call.invocation_metadata)
        return self._handlers.get(path)

    def _note(self, method: Method) -> None:
        if method.public:
            self._public_paths.add(method.path)
        if method.asks_caller:
            self._asking_paths.add(method.path)

    def _refusal(self, token: Token, path: str, metadata: Metadata) -> Refusal | None:
        """Why the call may not pass; None where it may."""
        for key, value in metadata or ():
            if key == HEADER:
                if token.opens(value):
                    return None
                if isinstance(value, str) and value.startswith(BEARER_OF_KEY):
                    return self._callers.refusal(value, is_asked=path in self._asking_paths)
                return wrong()
        return missing()

    def _of_instance(self, path: str, metadata: Metadata) -> Handler | None:
        """Never the handler of another instance than the call asks for."""
        name = next((value for key, value in metadata or () if key == INSTANCE_HEADER), "")
        if name in ("", self._unnamed.get(path)):
            return self._handlers.get(path)
        return self._named[path].get(str(name)) or _ending(path, restarting())


class Absent(grpc.GenericRpcHandler):
    """Behind all others: ends a call for an instance of an agent that the server does not serve.
    It did, or will, and others do; UNIMPLEMENTED would say that nobody ever does.
    """

    def service(self, call: grpc.HandlerCallDetails) -> Handler | None:
        named = any(key == INSTANCE_HEADER for key, _value in call.invocation_metadata or ())
        return _ending(call.method, restarting()) if named else None


def _ending(path: str, refusal: Refusal) -> Handler:
    async def end(_requests: Any, context: Context) -> None:
        said = {"code": refusal.code.name, "reason": refusal.reason, "peer": context.peer()}
        log.event(_LOGGER, logging.INFO, "rpc.refused", rpc=path[:_PATH_LENGTH_MAX], **said)
        await context.abort(refusal.code, refusal.message, refusal.trailers())

    # Of the four kinds this one reads nothing by itself, and callers cannot tell.
    return grpc.stream_stream_rpc_method_handler(end)


def missing() -> Refusal:
    """Of a call that shows nothing."""
    return failure.of_platform(
        platform.PLATFORM_ERROR_REASON_TOKEN_MISSING,
        "the call shows no token; send the header `authorization: Bearer TOKEN`, where TOKEN is "
        "what the fleet's $TANDEM_HOME/token holds (`./tandem env` names the file)",
    )


def wrong() -> Refusal:
    """Of a call that shows what is no key, and not the token."""
    return failure.of_platform(
        platform.PLATFORM_ERROR_REASON_TOKEN_WRONG,
        "the call shows another token than this fleet's; read the fleet's $TANDEM_HOME/token again "
        "(`./tandem env` names the file)",
    )
