"""How a server knows who calls, and what a caller with a key of its own may call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandem.options.v1 import options_pb2 as options
from tandemkit.core.caller_key import CallerKey
from tandemkit.core.clock import SystemClock
from tandemkit.core.token import HEADER as TOKEN_HEADER
from tandemkit.core.token import Token
from tandemkit.rpc.bearing import bearing
from tandemkit.rpc.callers import HEADER, caller
from tandemkit.rpc.client import Mesh, mesh
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server
from tandemkit.testing import probe
from tandemkit.testing.tokens import own_token
from tests.unit.tandemkit.rpc.probed import Probe, probed, refused

# As long as the probe's own, in whose bytes it takes its place.
PACKAGE = "tandem.entry.v1"
ECHO = f"/{PACKAGE}.EntryService/Echo"
CODE = grpc.StatusCode
NOW_S = int(SystemClock().now().timestamp())


def _contract() -> Contract:
    """The probe's again, of a service that asks who calls."""
    wire: bytes = probe.DESCRIPTOR.serialized_pb
    file = FileDescriptorProto.FromString(wire.replace(probe.PACKAGE.encode(), PACKAGE.encode()))
    file.name, file.service[0].name = "tandem/entry/v1/entry_service.proto", "EntryService"
    said: Any = file.service[0].options
    said.Extensions[options.asks_caller] = True
    pool: Any = probe.DESCRIPTOR.pool
    pool.AddSerializedFile(file.SerializeToString())
    return Contract.of(pool.FindFileByName(file.name))


CONTRACT = _contract()


class Door(Probe):
    """Answers with the name of its caller."""

    async def Echo(self, _request: Any, _context: Any) -> Any:
        return probe.ProbeResponse(text=caller())


@dataclass
class Doored:
    token: Token
    server: Server
    address: str
    channel: grpc.aio.Channel

    async def by_key(self, key: str, *more: tuple[str, str], path: str = ECHO) -> str:
        return await self._ask(self.channel, path, ((TOKEN_HEADER, f"Bearer {key}"), *more))

    async def by_token(self, *more: tuple[str, str]) -> str:
        return await self._ask(bearing(self.channel, self.token), ECHO, more)

    async def by(self, calls: Mesh, who: str, path: str = ECHO) -> str:
        made: Any = calls.stub(lambda wire: wire, caller=who)
        return await self._ask(made, path, ())

    async def _ask(self, channel: Any, path: str, metadata: Any) -> str:
        call = channel.unary_unary(
            path, probe.ProbeRequest.SerializeToString, probe.ProbeResponse.FromString
        )
        return str((await call(probe.ProbeRequest(text="who"), metadata=metadata)).text)


@pytest.fixture
async def door() -> AsyncIterator[Doored]:
    with own_token() as token:
        server = Server(token=token)
        server.mount(CONTRACT, Door())
        server.health.put(f"{PACKAGE}.EntryService", serving=True)
        async with probed(server, Door()) as it:
            server.health.put(probe.SERVICE, serving=True)
            yield Doored(token, server, it.address, it.channel)


def _key(token: Token, name: str = "ada", issued_s: int = NOW_S, days: int = 1) -> str:
    return CallerKey(name, issued_s, issued_s + days * 86_400).signed(token)


async def test_who_shows_the_token_is_the_operator_or_says_otherwise(door: Doored) -> None:
    """Whoever has the token may do everything, so may also speak in another's name."""
    assert await door.by_token() == "operator"
    assert await door.by_token((HEADER, "agents/text-summarize")) == "agents/text-summarize"


async def test_a_key_names_its_caller_whatever_he_says(door: Doored) -> None:
    """The name in a key is signed, and the one in a header is not."""
    key = _key(door.token)
    assert await door.by_key(key) == "callers/ada"
    assert await door.by_key(key, (HEADER, "operator")) == "callers/ada"
    assert await door.by_key(key, door.token.header) == "callers/ada"


async def test_a_key_opens_no_service_that_does_not_ask(door: Doored) -> None:
    """It would be answered as if the fleet itself had called; what is public stays so."""
    failed = await refused(door.by_key(_key(door.token), path=probe.path("Echo")))
    assert (failed.code, failed.reason) == (CODE.PERMISSION_DENIED, "KEY_NOT_ENOUGH")
    check: Any = health_pb2_grpc.HealthStub(door.channel).Check
    shown = ((TOKEN_HEADER, f"Bearer {_key(door.token)}"),)
    assert await check(health_pb2.HealthCheckRequest(), metadata=shown)


async def test_a_key_is_refused_that_is_over_or_was_never_given(door: Doored) -> None:
    """With the reason, and what to do."""
    failed = await refused(door.by_key(_key(door.token, issued_s=NOW_S - 200_000)))
    assert (failed.code, failed.reason) == (CODE.UNAUTHENTICATED, "KEY_REFUSED")
    assert "expired" in failed.message
    forged = _key(door.token).replace("ada", "eve")
    assert "not signed" in (await refused(door.by_key(forged))).message
    assert "not signed" in (await refused(door.by_key("tandem-key.nonsense"))).message
    lower = await refused(door._ask(door.channel, ECHO, ((TOKEN_HEADER, f"bearer {forged}"),)))
    assert lower.reason == "TOKEN_WRONG"


async def test_a_key_ends_with_the_token_that_signed_it(door: Doored) -> None:
    """Within the grace of a rotation it is taken still."""
    key = _key(door.token)
    door.token.rotate(grace_s=600)
    assert await door.by_key(key) == "callers/ada"
    door.token.rotate(grace_s=0)
    assert (await refused(door.by_key(key))).reason == "KEY_REFUSED"


async def test_an_agent_is_named_by_the_kit_near_and_far(door: Doored) -> None:
    """Where somebody asks; a service that does not is sent no header."""
    async with mesh("127.0.0.1:1", door.server.local.way) as near:
        assert await door.by(near, "agents/text-summarize") == "agents/text-summarize"
        assert await door.by(near, "agents/text-summarize", probe.path("Echo")) == "operator"
        assert await door.by(near, "") == "operator"
    async with mesh(door.address, token=door.token) as far:
        assert await door.by(far, "agents/text-summarize") == "agents/text-summarize"
