"""Calls that are made for others, over a wire: they show what those showed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tandem.memory.v1 import answer_service_pb2 as answer
from tandemkit.core.caller_key import CallerKey
from tandemkit.core.clock import SystemClock
from tandemkit.core.token import HEADER, Token
from tandemkit.hosting.fleet_methods import FleetMethods
from tandemkit.hosting.relay import Order, Relay, Shown
from tandemkit.rpc.callers import Callers
from tandemkit.rpc.client import mesh
from tandemkit.rpc.contract import Method
from tandemkit.rpc.failure import Refusal
from tandemkit.rpc.remote import CallFailed
from tandemkit.testing import probe

FOREVER_S = 32_503_680_000
ECHO = Method.of(probe.DESCRIPTOR.services_by_name["ProbeService"].methods_by_name["Echo"])
ASKING = Method.of(
    answer.DESCRIPTOR.services_by_name["AnswerService"].methods_by_name["AnswerQuestion"]
)


class Listening(grpc.GenericRpcHandler):
    """Answers every call with nothing, and keeps what it shows."""

    def __init__(self) -> None:
        self.shown: list[list[str]] = []

    def service(self, call: grpc.HandlerCallDetails) -> Any:
        metadata = call.invocation_metadata or ()
        self.shown.append([str(value) for key, value in metadata if key == HEADER])

        async def answer(_request: bytes, _context: Any) -> bytes:
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@asynccontextmanager
async def relaying(folder: Path) -> AsyncIterator[tuple[Relay, Token, Listening]]:
    server, heard, token = grpc.aio.server(), Listening(), Token.kept(folder / "token")
    server.add_generic_rpc_handlers((heard,))
    server.add_insecure_port(address := f"unix:{folder}/grpc")
    await server.start()
    try:
        async with mesh(address, token=token) as wire:
            methods = FleetMethods(wire, SystemClock(), has_fleet=False)
            yield Relay(wire, methods, token, Callers(token)), token, heard
    finally:
        await server.stop(0)


def shown(relay: Relay, bearer: str) -> Shown:
    found = relay.shown(bearer)
    assert isinstance(found, Shown)
    return found


async def test_a_call_for_who_has_a_key_shows_the_key_and_never_the_token(tmp_path: Path) -> None:
    """A server that looked at either would let it do what the fleet may."""
    async with relaying(tmp_path) as (relay, token, heard):
        bearer = f"Bearer {CallerKey('ada', 1, FOREVER_S).signed(token)}"
        ada = shown(relay, bearer)
        assert ada.caller == "callers/ada"
        await relay.call(Order(ASKING, ada, 5.0), ASKING.request())
        assert heard.shown == [[bearer]]


async def test_a_call_for_who_has_the_token_shows_that_of_the_moment(tmp_path: Path) -> None:
    """What the caller showed may be over before the call is."""
    async with relaying(tmp_path) as (relay, token, heard):
        before = token.bearer
        token.rotate()
        operator = shown(relay, before)
        assert (operator.caller, operator.headers) == ("operator", ())
        await relay.call(Order(ECHO, operator, 5.0), ECHO.request())
        assert heard.shown == [[token.bearer]]


async def test_a_key_opens_no_agent_that_asks_nobody(tmp_path: Path) -> None:
    """Also one in the same process, where no gate stands before it."""
    async with relaying(tmp_path) as (relay, token, heard):
        ada = shown(relay, f"Bearer {CallerKey('ada', 1, FOREVER_S).signed(token)}")
        with pytest.raises(CallFailed) as caught:
            await relay.call(Order(ECHO, ada, 5.0), ECHO.request())
        assert caught.value.found.reason == "KEY_NOT_ENOUGH"
        assert heard.shown == []


@pytest.mark.parametrize(
    ("bearer", "reason"),
    [
        ("", "TOKEN_MISSING"),
        ("Bearer x", "TOKEN_WRONG"),
        ("Bearer tandem-key.ada.1.32503680000.AAAA", "KEY_REFUSED"),
    ],
)
async def test_who_shows_nothing_that_counts_is_told_so(
    tmp_path: Path, bearer: str, reason: str
) -> None:
    """In the words of a gRPC server."""
    async with relaying(tmp_path) as (relay, _token, _heard):
        found = relay.shown(bearer)
        assert isinstance(found, Refusal)
        assert found.reason == reason
