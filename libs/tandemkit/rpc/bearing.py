"""Calls that show the fleet's token. gRPC's own call credentials need a secure channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from tandemkit.core.token import HEADER, Token
from tandemkit.rpc.borrowed import Borrowed


class Bearing(Borrowed):
    """Each call shows the token as it is when the call is made, unless its maker shows another's
    key: never both, of which a server might see either.
    """

    def __init__(self, wire: grpc.aio.Channel, token: Token) -> None:
        super().__init__(wire)
        self._token = token

    def unary_unary(self, method: str, *codecs: Any, **options: Any) -> Any:
        return self._way(self._wire.unary_unary(method, *codecs, **options))

    def unary_stream(self, method: str, *codecs: Any, **options: Any) -> Any:
        return self._way(self._wire.unary_stream(method, *codecs, **options))

    def stream_unary(self, method: str, *codecs: Any, **options: Any) -> Any:
        return self._way(self._wire.stream_unary(method, *codecs, **options))

    def stream_stream(self, method: str, *codecs: Any, **options: Any) -> Any:
        return self._way(self._wire.stream_stream(method, *codecs, **options))

    def _way(self, far: Callable[..., Any]) -> Callable[..., Any]:
        token = self._token

        def call(*request: Any, metadata: Any = None, **options: Any) -> Any:
            if not metadata:
                metadata = (token.header,)
            elif all(key != HEADER for key, _value in metadata):
                metadata = (*metadata, token.header)
            return far(*request, metadata=metadata, **options)

        return call


def bearing(wire: grpc.aio.Channel, token: Token | None) -> grpc.aio.Channel:
    """`wire`, for calls that show `token` if there is one."""
    return wire if token is None else Bearing(wire, token)
