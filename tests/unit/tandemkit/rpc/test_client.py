from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from tandemkit.rpc import channel, trace
from tandemkit.rpc.client import mesh
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.rpc.spans import Tracing
from tandemkit.testing import probe
from tandemkit.testing.spans import KeptSpans
from tests.unit.tandemkit.rpc.probed import refused
from tests.unit.tandemkit.rpc.relayed import (
    ProbeStub,
    Relay,
    chained,
    grpc_error,
    request,
    served,
    socket,
)

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


async def test_a_stub_makes_calls_of_all_four_kinds() -> None:
    """The generated class works unchanged, and its calls are gRPC's to the one who holds them."""
    async with chained() as chain:
        stub = chain.stub
        assert isinstance(stub.Echo(request()), grpc.aio.Call)
        call = stub.Echo(request("one"))
        assert (await call).text == "one"
        assert (await call.code(), call.done()) == (grpc.StatusCode.OK, True)
        assert (await stub.Collect(iter([request("a"), request("b")]))).text == "a,b"
        assert [each.text async for each in stub.Tail(request("last"))] == ["first", "last"]
        chat = stub.Chat()
        await chat.write(request("ping"))
        assert (await chat.read()).text == "ping"
        await chat.done_writing()
        assert await chat.read() is grpc.aio.EOF


async def test_calls_run_side_by_side() -> None:
    """A call starts when it is made, not when somebody waits for it."""
    async with chained() as chain:
        first, last = chain.first, chain.last
        first.onward = None
        held = chain.stub.Echo(request("hang"))
        await first.entered.wait()
        first.freed.set()
        assert (await held).text == "hang"
        assert last.came == []


async def test_cancelling_a_call_reaches_its_handler() -> None:
    """Nobody works on for a caller who has left."""
    async with chained() as chain:
        chain.first.onward = None
        call = chain.stub.Echo(request("hang"))
        await chain.first.entered.wait()
        assert call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await chain.first.gone.wait()


async def test_a_stream_that_is_dropped_ends_at_its_handler() -> None:
    """As with gRPC's own call, nobody needs to cancel what nobody holds."""
    async with chained() as chain:
        call = chain.stub.Tail(request("hang"))
        assert (await call.read()).text == "first"
        await chain.first.entered.wait()
        del call
        await chain.first.gone.wait()


async def test_a_trace_goes_along_the_chain() -> None:
    """Each hop has the same trace under a parent of its own."""
    async with chained() as chain:
        await chain.stub.Echo(request(), metadata=((trace.HEADER, TRACE),))
        (first,), (last,) = chain.first.came, chain.last.came
    assert first.traceparent == TRACE
    assert last.traceparent != TRACE
    assert trace.trace_id(last.traceparent) == "a" * 32
    assert trace.sampled(last.traceparent)


async def test_without_a_trace_none_is_sent() -> None:
    """What nobody records costs nobody a header."""
    async with chained() as chain:
        await chain.stub.Echo(request())
        assert [came.traceparent for came in chain.first.came + chain.last.came] == ["", ""]


async def test_a_share_of_the_calls_begins_a_trace() -> None:
    """Where nobody's call led to it; what it leads to only hands its trace on."""
    draws = iter([0.005, 0.5])
    async with chained(tracing=Tracing(0.01), draw=lambda: next(draws)) as chain:
        await chain.stub.Echo(request())
        await chain.stub.Echo(request())
        traced, untraced = (trace.sampled(came.traceparent) for came in chain.last.came)
        assert trace.trace_id(chain.first.came[0].traceparent) == trace.trace_id(
            chain.last.came[0].traceparent
        )
    assert (traced, untraced) == (True, False)


async def test_who_can_run_a_call_in_this_process_is_asked_each_time() -> None:
    """By the method's path; without an answer the call goes over the wire."""
    here: list[Any] = [None]
    asked: list[str] = []

    def near(path: str, _headers: Any) -> Any:
        asked.append(path)
        return here[0]

    relay = Relay()
    async with socket() as address, served(relay, address), mesh(address, near) as it:
        stub = it.stub(ProbeStub)
        await stub.Echo(request())
        async with chained() as other:
            other.first.onward = None
            here[0] = other.stub.Echo
            assert (await stub.Echo(request("near"))).text == "near"
            assert (len(other.first.came), len(relay.came)) == (1, 1)
            assert other.first.came[0].left_s is not None
    assert asked == [probe.path("Echo")] * 2


@pytest.mark.parametrize("method", ["Echo", "Tail", "Chat"])
async def test_a_call_that_cannot_be_made_says_why(method: str) -> None:
    """Whoever runs it may refuse its arguments; that it is sampled puts no other error before."""

    def way(*_request: Any, **_options: Any) -> Any:
        raise TypeError("no header can hold that")

    tracing = Tracing(1.0, KeptSpans().recorder)
    async with socket() as address, mesh(address, lambda *_: way, tracing=tracing) as it:
        with pytest.raises(TypeError, match="no header"):
            getattr(it.stub(ProbeStub), method)(request())
        gc.collect()


async def test_a_process_has_one_channel_to_a_target() -> None:
    """It is opened for the first who asks, and closed behind the last."""
    async with socket() as address, served(Relay(), address):
        async with channel.shared(address) as first:
            async with channel.shared(address) as second:
                assert second is first
            async with mesh(address) as it:
                assert (await it.stub(ProbeStub).Echo(request())).text == "hello"
            assert first.get_state() is not grpc.ChannelConnectivity.SHUTDOWN
        assert first.get_state() is grpc.ChannelConnectivity.SHUTDOWN
        async with channel.shared(address) as third:
            assert third is not first


async def test_a_stubs_channel_is_not_its_to_close() -> None:
    """The mesh's other stubs use it too."""
    async with socket() as address, served(Relay(), address), mesh(address) as it:
        held: list[grpc.aio.Channel] = []
        it.stub(held.append)
        async with held[0] as taken:
            await taken.channel_ready()
            assert taken.get_state() is grpc.ChannelConnectivity.READY
        await held[0].close()
        assert (await it.stub(ProbeStub).Echo(request())).text == "hello"


async def test_an_unloaded_contract_is_called_without_promises() -> None:
    """A method that no descriptor describes has no deadline and no retry, and works."""
    async with socket() as address, served(Relay(), address), mesh(address) as it:
        calls: list[grpc.aio.Channel] = []
        it.stub(calls.append)
        unknown: Any = calls[0].unary_unary("/tandem.probe.v1.NoService/Echo")
        failure = await refused(unknown(b""))
    assert failure.code is grpc.StatusCode.UNIMPLEMENTED


def test_a_failure_without_details_is_read_as_far_as_it_goes() -> None:
    """A server that is not ours sends a code and a message, or bytes that are no details."""
    bare = RemoteFailure.of(grpc_error(grpc.StatusCode.UNKNOWN))
    assert (bare.code, bare.reason, bare.retry_after_s) == (grpc.StatusCode.UNKNOWN, "", None)
    odd = grpc_error(grpc.StatusCode.UNKNOWN, ("grpc-status-details-bin", b"\xff"))
    assert RemoteFailure.of(odd) == bare
    endless = error_details_pb2.RetryInfo()
    endless.retry_delay.seconds = 2**62
    for kind, value in (
        ("ErrorInfo", b"\xff\xff"),
        ("RetryInfo", b"\n\x05"),
        ("RetryInfo", endless.SerializeToString()),
    ):
        status = status_pb2.Status()
        status.details.add(type_url=f"type.googleapis.com/google.rpc.{kind}", value=value)
        trailer = ("grpc-status-details-bin", status.SerializeToString())
        assert RemoteFailure.of(grpc_error(grpc.StatusCode.UNKNOWN, trailer)) == bare


async def test_a_mesh_that_is_left_is_gone() -> None:
    """It holds itself in no circle: its channel goes at once, and with it what gRPC keeps of it."""

    async def used(address: str) -> tuple[weakref.ref[Any], weakref.ref[Any]]:
        async with channel.shared(address) as wire, mesh(address) as it:
            await it.stub(ProbeStub).Echo(request())
            return weakref.ref(wire), weakref.ref(it)

    gc.disable()
    try:
        async with socket() as address, served(Relay(), address):
            assert [left() for left in await used(address)] == [None, None]
    finally:
        gc.enable()
