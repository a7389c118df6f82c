from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from tandemkit.rpc import admin, reflection
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.failure import Refusal, Violation
from tandemkit.rpc.server import Server
from tandemkit.testing import probe
from tandemkit.testing.failures import Failure, failure_of
from tests.unit.tandemkit.rpc.probed import Probe, Probed, probed

TRAILER_BYTES_MAX = 8192
# A reader that takes little before it reads, so that one large message fills its window.
SLOW = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16_384))


class Large(Probe):
    """Streams without an end, and more at once than a slow reader takes; "hang" streams nothing."""

    async def Tail(self, request: Any, _context: Any) -> Any:
        if request.text == "hang":
            await self._hang()
        while True:
            self.entered.set()
            yield probe.ProbeResponse(text="x" * 100_000)


async def test_a_port_that_is_taken_is_refused() -> None:
    """Two servers never share a port: half of the callers would reach the wrong one."""
    first, second = Server(), Server()
    port = await first.start("127.0.0.1:0")
    with pytest.raises(RuntimeError, match="bind"):
        await second.start(f"127.0.0.1:{port}")
    await first.drain(0)


def test_a_contract_says_what_its_options_say() -> None:
    """Deadline, limit and aliases come from the descriptor, and a unary method has a deadline in
    any case.
    """
    contract = Contract.of(probe.DESCRIPTOR)
    methods = {method.name: method for method in contract.methods}
    assert contract.aliases == ("ProbeAgent",)
    assert contract.name.short == "probe-probe"
    assert (methods["Narrow"].deadline_s, methods["Narrow"].concurrent_calls_max) == (0.2, 2)
    assert (methods["Echo"].deadline_s, methods["Tail"].deadline_s) == (30.0, None)
    assert (methods["Echo"].retryable, methods["Narrow"].retryable) == (True, False)


def test_the_details_of_a_failure_fit_into_the_trailers() -> None:
    """However much is wrong with a request, the answer stays below gRPC's limit for metadata."""
    refusal = Refusal(
        grpc.StatusCode.INVALID_ARGUMENT,
        "the request breaks the contract",
        "INVALID_REQUEST",
        "tandem.type.v1",
        {f"key {number}": "é" * 100_000 for number in range(100)},
        [Violation("f" * 1000, "d" * 1000)] * 1000,
    )
    ((_, wire),) = refusal.trailers()
    # gRPC sends binary metadata in base64.
    assert len(wire) * 4 / 3 < TRAILER_BYTES_MAX


def test_a_failure_can_be_told_whatever_it_is_about() -> None:
    """Also a file's name that is no text, or half a character of somebody's JSON."""
    refusal = Refusal(
        grpc.StatusCode.NOT_FOUND,
        "there is no such file",
        "FILE_NOT_FOUND",
        "tandem.utility.v1",
        {"name": "a\udcff"},
        [Violation("b\ud800", "c\ud800")],
    )
    ((_, wire),) = refusal.trailers()
    assert b"a?" in wire
    assert b"b?" in wire


def bidirectional(it: Probed, path: str) -> Any:
    """A stream on which nothing has been said yet."""
    method: Any = it.channel.stream_stream(path)
    return method()


@pytest.mark.parametrize(
    "path",
    [
        *(f"/{service}/ServerReflectionInfo" for service in reflection.SERVICES),
        f"/{admin.SERVICES[0]}/StreamClientStatus",
    ],
)
async def test_a_tool_that_stays_connected_holds_no_drain_up(path: str) -> None:
    """Its stream ends, without an error, long before the grace does."""
    async with probed() as it:
        call = bidirectional(it, path)
        await call.write(b"")
        await call.read()
        async with asyncio.timeout(10):
            await it.server.drain(grace_s=60)
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def ending(call: Any) -> Failure:
    """How a stream ends behind what it still has."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        while await call.read() is not grpc.aio.EOF:
            pass
    return failure_of(raised.value)


async def test_a_slow_reader_of_a_first_message_is_told_of_a_drain() -> None:
    """As soon as it has read it: gRPC takes no status while headers and message are being sent."""
    async with probed(servicer=Large(), options=SLOW) as it, asyncio.TaskGroup() as tasks:
        call = it.stream("Tail", "")
        await it.servicer.entered.wait()
        async with asyncio.timeout(10):
            drained = tasks.create_task(it.server.drain(grace_s=60))
            failure = await ending(call)
            await drained
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")


async def test_a_slow_reader_of_a_first_message_is_told_of_the_deadline() -> None:
    """The same for a method's own deadline, which has passed when a later call has met it."""
    async with probed(servicer=Large(), options=SLOW) as it, asyncio.timeout(10):
        call = it.stream("Burst", "")
        await it.servicer.entered.wait()
        later = await ending(it.stream("Burst", "hang"))
        failure = await ending(call)
    assert failure.code is later.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert failure.reason == "DEADLINE_EXCEEDED"
