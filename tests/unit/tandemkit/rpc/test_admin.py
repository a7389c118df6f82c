"""What a server tells of gRPC in its process, by the stubs that such tools use."""

from __future__ import annotations

from collections import Counter
from typing import Any

import grpc
from envoy.service.status.v3 import csds_pb2, csds_pb2_grpc
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc

from tests.unit.tandemkit.rpc.probed import probed, refused


async def counted(channelz: Any) -> tuple[Counter[int], Counter[int]]:
    """Calls that servers were sent, and calls that failed on channels, by the id that gRPC gave
    each: those of other tests may still be there, or just be going.
    """
    sent, failed = Counter[int](), Counter[int]()
    first_id, is_last = 0, False
    while not is_last:
        servers = await channelz.GetServers(
            channelz_pb2.GetServersRequest(start_server_id=first_id)
        )
        sent.update({one.ref.server_id: one.data.calls_started for one in servers.server})
        first_id, is_last = max(sent, default=0) + 1, servers.end
    first_id, is_last = 0, False
    while not is_last:
        channels = await channelz.GetTopChannels(
            channelz_pb2.GetTopChannelsRequest(start_channel_id=first_id)
        )
        failed.update({one.ref.channel_id: one.data.calls_failed for one in channels.channel})
        first_id, is_last = max(failed, default=0) + 1, channels.end
    return sent, failed


async def test_channelz_counts_the_calls_of_a_server() -> None:
    """Those that went well and those that did not, at the server and at the channel."""
    async with probed() as it:
        channelz: Any = channelz_pb2_grpc.ChannelzStub(it.channel)
        sent_before, failed_before = await counted(channelz)
        assert (await it.unary("Echo", "well")).text == "well"
        await refused(it.unary("Echo", "odd"))
        sent, failed = await counted(channelz)
    # Asking counts too.
    assert [count - sent_before[one] >= 3 for one, count in sent.items()].count(True) == 1
    assert (failed - failed_before).total() == 1


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
