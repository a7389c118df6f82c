"""What the benchmarks of a call share: a servicer that does nothing, and blocks of calls by turns,
so that noise meets all that is compared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc

from tandemkit.core.token import Token
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.report import Report
from tandemkit.rpc.server import Server
from tandemkit.rpc.spans import UNTRACED, Tracing
from tandemkit.testing import probe

Call: TypeAlias = Callable[[Any], Awaitable[Any]]
BLOCK_CALLS = 500


class Echo:
    """Does nothing, so that only the way to it and back is measured."""

    async def Echo(self, request: Any, _context: Any) -> Any:
        return probe.ProbeResponse(text=request.text)

    async def never(self, request: Any, _context: Any) -> Any:
        return request

    async def never_stream(self, request: Any, _context: Any) -> Any:
        yield request

    Narrow = Collect = never
    Tail = Burst = Chat = never_stream


@asynccontextmanager
async def bare_server() -> AsyncIterator[str]:
    """What somebody would write with grpcio alone; yields its address."""
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    handler = grpc.unary_unary_rpc_method_handler(
        Echo().Echo,
        request_deserializer=probe.ProbeRequest.FromString,
        response_serializer=probe.ProbeResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(probe.SERVICE, {"Echo": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@asynccontextmanager
async def kit_server(tracing: Tracing = UNTRACED, token: Token | None = None) -> AsyncIterator[str]:
    """The same behind all that the kit puts in front of a servicer."""
    server = Server(Report(tracing), token)
    server.mount(Contract.of(probe.DESCRIPTOR), Echo())
    port = await server.start("127.0.0.1:0")
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.drain(0)


def echo_on(channel: grpc.aio.Channel, **options: Any) -> Call:
    """The method as a stub has it."""
    call: Any = channel.unary_unary(
        probe.path("Echo"),
        request_serializer=probe.ProbeRequest.SerializeToString,
        response_deserializer=probe.ProbeResponse.FromString,
    )
    return (lambda request: call(request, **options)) if options else call


async def cpu_us(call: Call, concurrency: int) -> float:
    """CPU microseconds of one call, client and server together, over one block."""
    request = probe.ProbeRequest(text="x" * 64)
    started_s = time.process_time()
    for _ in range(BLOCK_CALLS // concurrency):
        if concurrency == 1:
            await call(request)
        else:
            # Each begins at once. `gather` would put a task of its own around each, which is no
            # part of a call.
            for started in [call(request) for _ in range(concurrency)]:
                await started
    return (time.process_time() - started_s) / BLOCK_CALLS * 1e6


async def rounds(
    calls: Mapping[str, Call], blocks: int, concurrency: int
) -> dict[str, list[float]]:
    """CPU microseconds a call by name, a figure for each round of blocks; one before warms up."""
    for call in calls.values():
        await cpu_us(call, concurrency)
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(blocks):
        for name, call in calls.items():
            found[name].append(await cpu_us(call, concurrency))
    return found


def against(base_us: list[float], other_us: list[float]) -> dict[str, float]:
    """The ratio of two columns, round by round: median and spread."""
    ratios = sorted(other / base for base, other in zip(base_us, other_us, strict=True))
    return {
        "ratio": round(statistics.median(ratios), 3),
        "ratio_p10": round(ratios[len(ratios) // 10], 3),
        "ratio_p90": round(ratios[len(ratios) * 9 // 10], 3),
    }
