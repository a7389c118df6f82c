"""CPU time of a unary call through all that the kit puts in front of a handler, against a bare
grpc.aio servicer.

The messages, the client and the process are the same; blocks of calls alternate, so that noise
meets both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import uvloop

from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server
from tandemkit.testing import probe

Call = Callable[[Any], Awaitable[Any]]
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


async def bare() -> tuple[grpc.aio.Server, int]:
    """What somebody would write with grpcio alone."""
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
    return server, port


def echo_on(channel: grpc.aio.Channel, **options: Any) -> Call:
    call: Any = channel.unary_unary(
        probe.path("Echo"),
        request_serializer=probe.ProbeRequest.SerializeToString,
        response_deserializer=probe.ProbeResponse.FromString,
    )
    return lambda request: call(request, **options)


async def cpu_us(call: Call, concurrency: int) -> float:
    """CPU microseconds of one call, client and server together, over one block."""
    request = probe.ProbeRequest(text="x" * 64)
    started_s = time.process_time()
    for _ in range(BLOCK_CALLS // concurrency):
        if concurrency == 1:
            await call(request)
        else:
            await asyncio.gather(*(call(request) for _ in range(concurrency)))
    return (time.process_time() - started_s) / BLOCK_CALLS * 1e6


async def compare(blocks: int, concurrency: int, options: dict[str, Any]) -> dict[str, float]:
    bare_server, bare_port = await bare()
    kit_server = Server()
    kit_server.mount(Contract.of(probe.DESCRIPTOR), Echo())
    kit_port = await kit_server.start("127.0.0.1:0")
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{bare_port}") as to_bare,
        grpc.aio.insecure_channel(f"127.0.0.1:{kit_port}") as to_kit,
    ):
        calls = echo_on(to_bare, **options), echo_on(to_kit, **options)
        for call in calls:
            await cpu_us(call, concurrency)
        pairs = [[await cpu_us(call, concurrency) for call in calls] for _ in range(blocks)]
    await bare_server.stop(0)
    await kit_server.drain(0)
    ratios = sorted(kit_us / bare_us for bare_us, kit_us in pairs)
    return {
        "concurrency": concurrency,
        "bare_us": round(statistics.median(bare_us for bare_us, _ in pairs), 1),
        "kit_us": round(statistics.median(kit_us for _, kit_us in pairs), 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_p10": round(ratios[len(ratios) // 10], 3),
        "ratio_p90": round(ratios[len(ratios) * 9 // 10], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=40, help="pairs of blocks (default 40)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    said = parser.parse_args()
    traced = (("traceparent", f"00-{'a' * 32}-{'b' * 16}-00"),)
    for name, options in {
        "plain": {},
        "with a deadline and a trace": {"timeout": 5.0, "metadata": traced},
    }.items():
        for concurrency in (1, 50):
            found = uvloop.run(compare(said.blocks, concurrency, options))
            if said.json:
                line = json.dumps({"bench": "call_overhead", "call": name, **found})
            else:
                line = (
                    f"{name}, {concurrency} at a time: bare {found['bare_us']} us, "
                    f"kit {found['kit_us']} us a call, "
                    f"ratio {found['ratio']} (p10 {found['ratio_p10']}, p90 {found['ratio_p90']})"
                )
            sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
