"""What the command line shows to the fleet of its home."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from tandemkit.cli.output import Refusal
from tandemkit.core.environment import Environment
from tandemkit.core.listeners import strangers_at
from tandemkit.core.token import FILE_NAME, Token, TokenRefused
from tandemkit.mesh.bootstrap import VARIABLE
from tandemkit.rpc.bearing import bearing
from tandemkit.rpc.channel import XDS


def token_file(environment: Environment) -> Path:
    """Where the token of the home's fleet is, or will be."""
    return environment.home / FILE_NAME


def token_made(environment: Environment) -> Token:
    """What callers of the home's fleet have to show; made where this is its first one."""
    return _known(lambda: Token.kept(token_file(environment)))


def token_known(environment: Environment) -> Token:
    """The same, where there is one already."""
    return _known(lambda: Token(token_file(environment)))


@asynccontextmanager
async def shown_at(address: str, environment: Environment) -> AsyncIterator[grpc.aio.Channel]:
    """A channel whose calls show the token of the home's fleet, where it has one."""
    check_ours(address, environment)
    async with grpc.aio.insecure_channel(address) as channel:
        yield bearing(channel, _token(environment))


def check_ours(address: str, environment: Environment) -> None:
    """Refuses an address of this machine on which another user listens, who would be shown the
    token: a fleet that is away does not hold its ports. For the mesh it is that of each control.
    """
    addresses = [address]
    if address.startswith(XDS):
        told = json.loads(environment.variables.get(VARIABLE, "{}"))
        addresses = [one["server_uri"] for one in told.get("xds_servers", ())]
    for one in addresses:
        for user in strangers_at(one):
            raise Refusal(
                f"a process of user {user}, who is not you, listens at {one}; it is shown nothing. "
                "If that is where your fleet was, start it on other ports."
            )


def showing(channel: grpc.Channel, environment: Environment) -> grpc.Channel:
    """`channel`, for calls that show the token of the home's fleet. Where it has none, a fleet that
    is open may answer all the same.
    """
    token = _token(environment)
    return channel if token is None else grpc.intercept_channel(channel, _Shown(token))


def _token(environment: Environment) -> Token | None:
    path = token_file(environment)
    return _known(lambda: Token(path)) if path.exists() else None


def _known(read: Callable[[], Token]) -> Token:
    try:
        return read()
    except TokenRefused as refused:
        raise Refusal(f"{refused}.") from refused


class _Call(NamedTuple):
    """The fields by which gRPC knows a call that is about to be made."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Shown(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def __init__(self, token: Token) -> None:
        self._token = token

    def intercept_unary_unary(self, go_on: Any, call: Any, request: Any) -> Any:
        return self._shown(go_on, call, request)

    def intercept_unary_stream(self, go_on: Any, call: Any, request: Any) -> Any:
        return self._shown(go_on, call, request)

    def intercept_stream_unary(self, go_on: Any, call: Any, requests: Any) -> Any:
        return self._shown(go_on, call, requests)

    def intercept_stream_stream(self, go_on: Any, call: Any, requests: Any) -> Any:
        return self._shown(go_on, call, requests)

    def _shown(self, go_on: Callable[..., Any], call: Any, request: Any) -> Any:
        metadata = (*(call.metadata or ()), self._token.header)
        named = _Call(
            call.method,
            call.timeout,
            metadata,
            call.credentials,
            call.wait_for_ready,
            call.compression,
        )
        return go_on(named, request)
