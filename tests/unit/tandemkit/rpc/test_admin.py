"""What a server tells of gRPC in its process, by the stubs that such tools use."""

from __future__ import annotations

from typing import Any

import grpc
from envoy.service.status.v3 import csds_pb2, csds_pb2_grpc
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc

from tests.unit.tandemkit.rpc.probed import probed, refused


async def calls_started(channelz: Any) -> int:
    """By all servers of the process, page by page: those of other tests may still be there."""
    count: int = 0
    first_id = 0
    while True:
        request = channelz_pb2.GetServersRequest(start_server_id=first_id)
        told = await channelz.GetServers(request)
        count += sum(one.data.calls_started for one in told.server)
        if told.end:
            return count
        first_id = max(one.ref.server_id for one in told.server) + 1


async def test_channelz_counts_the_calls_of_a_server() -> None:
    """Those that went well and those that did not, at the server and at the channel."""
    async with probed() as it:
        channelz: Any = channelz_pb2_grpc.ChannelzStub(it.channel)
        before = await calls_started(channelz)
        assert (await it.unary("Echo", "well")).text == "well"
        await refused(it.unary("Echo", "odd"))
        # Asking counts too.
        assert await calls_started(channelz) >= before + 3
        top = await channelz.GetTopChannels(channelz_pb2.GetTopChannelsRequest())
    assert any(one.data.calls_started >= 4 for one in top.channel)


async def test_channelz_says_what_is_not_there() -> None:
    """As an answer of the service, and not as a defect of ours."""
    async with probed() as it:
        channelz: Any = channelz_pb2_grpc.ChannelzStub(it.channel)
        found = await refused(channelz.GetServer(channelz_pb2.GetServerRequest(server_id=2**40)))
    assert found.code is grpc.StatusCode.NOT_FOUND


async def test_a_process_without_an_xds_client_was_told_nothing() -> None:
    """Once or as a stream, for each question one answer."""
    async with probed() as it:
        csds: Any = csds_pb2_grpc.ClientStatusDiscoveryServiceStub(it.channel)
        request = csds_pb2.ClientStatusRequest()
        assert not (await csds.FetchClientStatus(request)).config
        call = csds.StreamClientStatus()
        for _ in range(2):
            await call.write(request)
            assert not (await call.read()).config
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
