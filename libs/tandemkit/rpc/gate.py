"""Who may call a server: whoever shows the fleet's token, and anybody for what is public.

It stands where gRPC looks up a call's handler, so nothing of a refused call is read, and nothing
that is served can be mounted past it. docs/design/safety.md says what is public, and why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc

from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.core import log
from tandemkit.core.token import HEADER, Token
from tandemkit.rpc import failure
from tandemkit.rpc.context import Context
from tandemkit.rpc.failure import Refusal

if TYPE_CHECKING:
    # Only its stubs take parameters.
    Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]

_LOGGER = logging.getLogger("tandemkit.rpc")
_PATH_LENGTH_MAX = 200
Metadata: TypeAlias = Iterable[tuple[str, str | bytes]] | None


class Gate(grpc.GenericRpcHandler):
    """The first that gRPC asks who serves a call. Without a token it lets everybody in."""

    def __init__(self, token: Token | None) -> None:
        self._token = token
        self._handlers: dict[str, Handler] = {}
        self._public_paths: set[str] = set()
        self._public_services: set[str] = set()

    def put(self, path: str, handler: Handler, *, public: bool) -> None:
        """One more method of an agent."""
        self._handlers[path] = handler
        if public:
            self._public_paths.add(path)

    def open(self, service: str) -> None:
        """Of this service, which is none of our contracts, every method is public."""
        self._public_services.add(service)

    def service(self, call: grpc.HandlerCallDetails) -> Handler | None:
        path, token = call.method, self._token
        if token is not None and path not in self._public_paths:
            refuse = _refusal(token, call.invocation_metadata)
            if refuse is not None and path[1:].partition("/")[0] not in self._public_services:
                return _ending(path, refuse())
        return self._handlers.get(path)


def _refusal(token: Token, metadata: Metadata) -> Callable[[], Refusal] | None:
    """What says why the call may not pass; None where it may."""
    for key, value in metadata or ():
        if key == HEADER:
            return None if token.opens(value) else _wrong
    return _missing


def _ending(path: str, refusal: Refusal) -> Handler:
    async def end(_requests: Any, context: Context) -> None:
        said = {"code": refusal.code.name, "reason": refusal.reason, "peer": context.peer()}
        log.event(_LOGGER, logging.INFO, "rpc.refused", rpc=path[:_PATH_LENGTH_MAX], **said)
        await context.abort(refusal.code, refusal.message, refusal.trailers())

    # Of the four kinds this one reads nothing by itself, and callers cannot tell.
    return grpc.stream_stream_rpc_method_handler(end)


def _missing() -> Refusal:
    return failure.of_platform(
        platform.PLATFORM_ERROR_REASON_TOKEN_MISSING,
        "the call shows no token; send the header `authorization: Bearer TOKEN`, where TOKEN is "
        "what the fleet's $TANDEM_HOME/token holds (`./tandem env` names the file)",
    )


def _wrong() -> Refusal:
    return failure.of_platform(
        platform.PLATFORM_ERROR_REASON_TOKEN_WRONG,
        "the call shows another token than this fleet's; read the fleet's $TANDEM_HOME/token again "
        "(`./tandem env` names the file)",
    )
