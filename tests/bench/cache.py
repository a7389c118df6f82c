"""What a hit of the cache costs over gRPC, from memory and from a Redis, beside a bare GET of the
same Redis; and how many such calls a process answers in a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop
from redis.asyncio import Redis

from services.memory.cache.agent import AGENT
from tandem.memory.config.v1 import cache_pb2 as cfg
from tandem.memory.v1 import cache_service_pb2 as pb
from tandem.memory.v1 import cache_service_pb2_grpc as rpc
from tandem.platform.v1 import system_service_pb2 as system
from tandem.platform.v1 import system_service_pb2_grpc as system_rpc
from tandemkit.core.clock import SystemClock
from tandemkit.testing.agents import fake_agent, serving
from tandemkit.testing.parts_storage import redis_server

_KEYS = 1000
_AT_ONCE = 64
# Of a class that no server refuses: what it does is measured, not what it puts off.
_URGENT = (("x-tandem-priority", "interactive"),)
_CLOCK = SystemClock()
Call = Callable[[int], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Figures:
    """Of calls one behind the other, and of many at once."""

    p50_ms: float
    p99_ms: float
    a_second: int


async def figures(call: Call, rounds: int) -> Figures:
    took_ms = []
    for number in range(rounds):
        began_s = _CLOCK.monotonic_s()
        await call(number)
        took_ms.append((_CLOCK.monotonic_s() - began_s) * 1e3)
    left = iter(range(rounds * 4))

    async def some() -> None:
        for number in left:
            await call(number)

    began_s = _CLOCK.monotonic_s()
    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
    a_second = rounds * 4 / (_CLOCK.monotonic_s() - began_s)
    p99_ms = statistics.quantiles(took_ms, n=100)[98]
    return Figures(round(statistics.median(took_ms), 3), round(p99_ms, 3), round(a_second))


def _policy(name: str, *, local: bool) -> cfg.CachePolicy:
    policy = cfg.CachePolicy(namespaces=name)
    policy.local_ttl.FromSeconds(3600 if local else 0)
    return policy


async def _nothing(_request: object, _context: object) -> system.ListSystemResponse:
    return system.ListSystemResponse()


@asynccontextmanager
async def ways(value: bytes) -> AsyncIterator[dict[str, Call]]:
    """By what they are; all find what they ask for."""
    policies = [_policy("memory", local=True), _policy("redis", local=False)]
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        async with (
            redis_server() as server,
            Redis(unix_socket_path=str(server.socket)) as bare,
        ):
            await bare.config_set("maxmemory", "256mb")
            await bare.config_set("maxmemory-policy", "allkeys-lru")
            settings = cfg.CacheSettings(policies=policies)
            settings.redis.address = f"unix:{server.socket}"
            empty = fake_agent(system.DESCRIPTOR, ListSystem=_nothing)
            async with serving(
                AGENT, settings=settings, beside=(empty,), state_dir=Path(folder)
            ) as channel:
                stub: rpc.CacheServiceAsyncStub = rpc.CacheServiceStub(channel)
                other: system_rpc.SystemServiceAsyncStub = system_rpc.SystemServiceStub(channel)
                for number in range(_KEYS):
                    await bare.set(f"bare-{number}", value)
                    for name in ("memory", "redis"):
                        key = f"k{number}"
                        await stub.PutEntry(
                            pb.PutEntryRequest(namespace=name, key=key, value=value)
                        )

                def get(name: str) -> Call:
                    return lambda n: stub.GetEntry(
                        pb.GetEntryRequest(namespace=name, key=f"k{n % _KEYS}"), metadata=_URGENT
                    )

                yield {
                    "bare redis GET": lambda n: bare.get(f"bare-{n % _KEYS}"),
                    "a call that does nothing": lambda _: other.ListSystem(
                        system.ListSystemRequest(), metadata=_URGENT
                    ),
                    "GetEntry, from memory": get("memory"),
                    "GetEntry, from redis": get("redis"),
                }


async def measure(rounds: int, size: int) -> dict[str, Figures]:
    async with ways(bytes(size)) as known:
        # Once to warm up.
        for call in known.values():
            await figures(call, min(rounds, 200))
        return {name: await figures(call, rounds) for name, call in known.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3000, help="(default 3000)")
    parser.add_argument("--bytes", type=int, default=1536, help="of a value (default 1536)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    said = parser.parse_args()
    found = uvloop.run(measure(said.rounds, said.bytes))
    if said.json:
        rows = {
            name: {"p50_ms": one.p50_ms, "p99_ms": one.p99_ms, "a_second": one.a_second}
            for name, one in found.items()
        }
        sys.stdout.write(json.dumps({"bench": "cache", "calls": rows}) + "\n")
        return
    for name, one in found.items():
        line = (
            f"{name:26} {one.p50_ms:6.3f} ms, p99 {one.p99_ms:6.3f} ms, {one.a_second:6} a second"
        )
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
