"""What the embedded registry costs: a renewal, a registration until all watchers know it, a write.

CPU time is this process's; a latency is told as median and 99th percentile. Where `--folder` lies
decides what a write costs, for each waits for that disk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import uvloop

from tandemkit.core.clock import SystemClock
from tandemkit.registry.embedded import EmbeddedRegistry, embedded_registry
from tandemkit.registry.protocol import Event, Lease
from tandemkit.supervise.tasks import Tasks

TTL_S = 3.0
VALUE = bytes(500)

Row = dict[str, float | str]


class Audience:
    """Watchers who each note when they heard of the revision in question."""

    def __init__(self) -> None:
        self.heard = 0
        self.all_heard = asyncio.Event()
        self.count = 0

    async def listen(self, watch: AsyncGenerator[Event, None]) -> None:
        async for _ in watch:
            self.heard += 1
            if self.heard == self.count:
                self.all_heard.set()

    def expect(self) -> None:
        self.heard = 0
        self.all_heard.clear()


def spread(name: str, took_s: list[float], cpu_s: float) -> Row:
    took_s = sorted(took_s)
    return {
        "what": name,
        "count": len(took_s),
        "cpu_us": round(cpu_s / len(took_s) * 1e6, 1),
        "median_us": round(took_s[len(took_s) // 2] * 1e6, 1),
        "p99_us": round(took_s[len(took_s) * 99 // 100] * 1e6, 1),
        "max_us": round(took_s[-1] * 1e6, 1),
    }


async def timed(name: str, count: int, step: Callable[[int], Awaitable[object]]) -> Row:
    took_s = []
    cpu_s = time.process_time()
    for number in range(count):
        began_s = time.perf_counter()
        await step(number)
        took_s.append(time.perf_counter() - began_s)
    return spread(name, took_s, time.process_time() - cpu_s)


async def held(registry: EmbeddedRegistry, hosts: int, agents: int) -> list[Lease]:
    """A fleet: so many hosts with so many agents each."""
    leases = []
    for host in range(hosts):
        lease = await registry.open_lease(f"host-{host}", TTL_S * 20)
        for agent in range(agents):
            await registry.register(lease, f"agents/{host}/{agent}", VALUE)
        leases.append(lease)
    return leases


async def fan_out(registry: EmbeddedRegistry, lease: Lease, watchers: int, count: int) -> Row:
    """From the call of `register` until the last watcher has the change."""
    audience = Audience()
    audience.count = watchers
    async with Tasks() as tasks:
        for number in range(watchers):
            tasks.spawn(f"watcher-{number}", audience.listen(registry.watch()))
        await audience.all_heard.wait()

        async def change(number: int) -> None:
            audience.expect()
            await registry.register(lease, "agents/changing", b"%d" % number)
            await audience.all_heard.wait()

        return await timed(f"register until {watchers} watchers know", count, change)


async def measured(folder: Path, said: argparse.Namespace) -> list[Row]:
    async with embedded_registry(folder, SystemClock()) as registry:
        rows: list[Row] = []
        began_s = time.perf_counter()
        leases = await held(registry, said.hosts, said.agents)
        took_s = (time.perf_counter() - began_s) / (said.hosts * said.agents)
        rows.append(
            {"what": "register, each while the fleet starts", "mean_us": round(took_s * 1e6, 1)}
        )
        rows.append(
            await timed("renew", 50_000, lambda turn: registry.renew(leases[turn % said.hosts]))
        )
        rows.extend([await fan_out(registry, leases[0], count, 500) for count in (1, 10, 100)])
        leader = await registry.elect("planner", "control-a", TTL_S * 20)
        assert leader
        rows.append(await timed("keep", 20_000, lambda _: registry.keep(leader)))
        rows.append(await timed("put", 300, lambda _: registry.put("policy", VALUE)))
        rows.append(await timed("get", 5_000, lambda _: registry.get("policy")))
    began_s = time.perf_counter()
    async with embedded_registry(folder, SystemClock()) as registry:
        took_us = round((time.perf_counter() - began_s) * 1e6)
        rows.append({"what": f"restart with {said.hosts * said.agents}", "took_us": took_us})
        rows.append(
            await timed(
                f"end a lease of {said.agents}",
                said.hosts,
                lambda turn: registry.close_lease(leases[turn]),
            )
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=100, help="leases (default 100)")
    parser.add_argument("--agents", type=int, default=100, help="registrations of each")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default: temporary")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=said.folder) as folder:
        for row in uvloop.run(measured(Path(folder), said)):
            if said.json:
                line = json.dumps({"bench": "registry", "backend": "embedded", **row})
            else:
                what, *figures = row.items()
                line = f"{what[1]}: {', '.join(f'{key} {figure}' for key, figure in figures)}"
            sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
