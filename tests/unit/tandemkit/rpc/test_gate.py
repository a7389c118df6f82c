"""Who is let in. That a token opens every way to an agent is shown by tests/contract/calls, all of
whose calls show one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from envoy.service.status.v3 import csds_pb2, csds_pb2_grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tandem.options.v1 import options_pb2 as options
from tandemkit.core.token import HEADER, Token
from tandemkit.rpc.bearing import bearing
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server
from tandemkit.testing import probe
from tandemkit.testing.logs import lines_of
from tandemkit.testing.tokens import own_token
from tests.unit.tandemkit.rpc.probed import Probe, Probed, probed, refused

CODE = grpc.StatusCode
SHELF = "tandem.shelf.v1.ShelfService"


@dataclass
class Gated:
    """A server that asks for its token, and a channel that does not show it."""

    token: Token
    probed: Probed

    @property
    def shown(self) -> grpc.aio.Channel:
        return bearing(self.probed.channel, self.token)


@pytest.fixture
async def gated() -> AsyncIterator[Gated]:
    with own_token() as token:
        async with probed(Server(token=token)) as it:
            yield Gated(token, it)


def _call(channel: grpc.aio.Channel, path: str = probe.path("Echo")) -> Callable[..., Any]:
    call: Any = channel.unary_unary(path)
    return lambda **more: call(probe.ProbeRequest(text="hi").SerializeToString(), **more)


async def test_who_shows_nothing_is_told_what_to_show(gated: Gated) -> None:
    """And where it is to be found."""
    failed = await refused(gated.probed.unary("Echo", "hi"))
    assert (failed.code, failed.reason) == (CODE.UNAUTHENTICATED, "TOKEN_MISSING")
    assert failed.domain == "tandem.type.v1"
    assert "authorization: Bearer" in failed.message
    assert "$TANDEM_HOME/token" in failed.message
    assert await _call(gated.shown)()


async def test_every_kind_of_call_is_refused_alike(gated: Gated) -> None:
    """Also the ones that send before they read."""
    it = gated.probed
    for call in (it.unary("Narrow", "hi"), it.collect(["a", "b"])):
        assert (await refused(call)).reason == "TOKEN_MISSING"
    for stream in (it.stream("Tail", "hi"), it.chat()):
        assert (await refused(stream.read())).reason == "TOKEN_MISSING"


@pytest.mark.parametrize("shown", ["Bearer nonsense", "", "Basic eDp5", "Bearer"])
async def test_who_shows_something_else_is_told_so(gated: Gated, shown: str) -> None:
    """It may be the token of another fleet, or of yesterday."""
    failed = await refused(_call(gated.probed.channel)(metadata=((HEADER, shown),)))
    assert (failed.code, failed.reason) == (CODE.UNAUTHENTICATED, "TOKEN_WRONG")


async def test_a_refused_call_is_not_read(gated: Gated) -> None:
    """A request that is no message, or that names a method which is not there, is refused as any
    other: who has no token learns nothing.
    """
    assert (await refused(gated.probed.raw("Echo", b"\xff\xff"))).reason == "TOKEN_MISSING"
    for path in (probe.path("Nothing"), "/tandem.none.v1.NoneService/None"):
        assert (await refused(_call(gated.probed.channel, path)())).reason == "TOKEN_MISSING"
    assert (await refused(_call(gated.shown, probe.path("Nothing"))())).code is CODE.UNIMPLEMENTED


async def test_a_new_token_is_taken_at_once(gated: Gated) -> None:
    """Without a restart, and by the channel that showed the old one."""
    changer, shown = Token(gated.token.path), gated.shown
    changer.rotate(grace_s=0)
    gated.token.look()
    assert await _call(shown)()


async def test_a_token_that_somebody_changed_is_taken_from_who_shows_it(gated: Gated) -> None:
    """The file is read again where what is shown is not what it said."""
    changer = Token(gated.token.path)
    changer.rotate(grace_s=0)
    assert await _call(gated.probed.channel)(metadata=(changer.header,))


async def test_what_says_what_is_there_is_public(gated: Gated) -> None:
    """Stock clients ask for it and can show nothing; who calls whom is not public."""
    channel: Any = gated.probed.channel
    check = health_pb2_grpc.HealthStub(channel).Check
    assert await check(health_pb2.HealthCheckRequest())
    reflection = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
    asked = reflection(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    listed = (await asked.read()).list_services_response.service
    assert probe.SERVICE in {one.name for one in listed}
    status = csds_pb2_grpc.ClientStatusDiscoveryServiceStub(channel).FetchClientStatus
    assert await status(csds_pb2.ClientStatusRequest()) is not None
    sockets: Any = channelz_pb2_grpc.ChannelzStub(channel).GetServers
    request = channelz_pb2.GetServersRequest()
    assert (await refused(sockets(request))).reason == "TOKEN_MISSING"
    assert await sockets(request, metadata=(gated.token.header,)) is not None


async def test_a_wrong_token_does_not_close_what_is_public(gated: Gated) -> None:
    """A client that shows another fleet's token to all hears that this one is well."""
    check: Any = health_pb2_grpc.HealthStub(gated.probed.channel).Check
    assert await check(health_pb2.HealthCheckRequest(), metadata=((HEADER, "Bearer other"),))


def _shelf() -> Contract:
    """The probe's contract again, with one method that says it is public."""
    wire: bytes = probe.DESCRIPTOR.serialized_pb
    file = FileDescriptorProto.FromString(wire.replace(probe.PACKAGE.encode(), b"tandem.shelf.v1"))
    file.name, file.service[0].name = "tandem/shelf/v1/shelf_service.proto", "ShelfService"
    said: Any = file.service[0].method[0].options
    said.Extensions[options.public] = True
    pool: Any = probe.DESCRIPTOR.pool
    pool.AddSerializedFile(file.SerializeToString())
    return Contract.of(pool.FindFileByName(file.name))


async def test_a_method_is_public_where_its_contract_says_so(gated: Gated) -> None:
    """And no other of the same agent."""
    gated.probed.server.mount(_shelf(), Probe())
    assert await _call(gated.probed.channel, f"/{SHELF}/Echo")()
    failed = await refused(_call(gated.probed.channel, f"/{SHELF}/Narrow")())
    assert failed.reason == "TOKEN_MISSING"


async def test_a_server_without_a_token_is_open() -> None:
    """For trusted places and tests, on purpose."""
    async with probed() as it:
        assert await it.unary("Echo", "hi")


async def test_the_log_says_who_was_refused_and_no_token(
    gated: Gated, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the right one, nor the one that was shown, which may be another fleet's."""
    caplog.set_level("DEBUG")
    await refused(_call(gated.probed.channel)(metadata=((HEADER, "Bearer another"),)))
    (line,) = [one for one in lines_of(caplog, "tandemkit.rpc") if one.msg == "rpc.refused"]
    fields = vars(line)["tandem_fields"]
    assert (fields["reason"], fields["rpc"]) == ("TOKEN_WRONG", probe.path("Echo"))
    assert gated.token.bearer.split()[1] not in caplog.text + str(fields)
    assert "another" not in caplog.text + str(fields)
