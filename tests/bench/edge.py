"""What a call pays for the edge: the same host called directly and through a real Envoy, by turns.

Client, host and control plane run in one process; Envoy in its own, whose CPU time is counted
apart.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import uvloop

from tandemkit.cli.edge import program
from tandemkit.core.clock import SystemClock, stopwatch_s
from tandemkit.core.environment import Environment
from tandemkit.hosting.edge import EdgePlace, RunningEdge, edge
from tandemkit.mesh.ads import DiscoveryServer
from tandemkit.mesh.bootstrap import Node
from tandemkit.mesh.catalogue import Catalogue, Host, Placement
from tandemkit.mesh.publication import Publication
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing import probe
from tests.bench._echo import BLOCK_CALLS, Call, against, cpu_us, echo_on, kit_server

DIRECT, THROUGH = "a host, directly", "through the edge"
CONTRACT = Contract.of(probe.DESCRIPTOR)
MACHINE = "here"
_TICKS = os.sysconf("SC_CLK_TCK")
# Of what stands in /proc/PID/stat behind the program's name: time in user and in kernel mode.
_MODES = slice(11, 13)


@dataclass
class Measured:
    """Of one way, block by block: CPU time per call, ours and Envoy's; and each call's latency."""

    ours_us: list[float] = field(default_factory=list)
    envoys_us: list[float] = field(default_factory=list)
    latencies_us: list[float] = field(default_factory=list)


@asynccontextmanager
async def _control(host: str) -> AsyncIterator[str]:
    """A control plane that knows this one host; yields its address."""
    address, _, port = host.rpartition(":")
    placed = (Placement(probe.SERVICE),)
    publication, server = Publication(SystemClock()), Server()
    hosts = (Host("one", "one", MACHINE, address, int(port), placed),)
    publication.publish(Catalogue(hosts, (CONTRACT,)))
    discovery = DiscoveryServer(publication)
    server.also(discovery.generic_handler(), discovery.close)
    async with Tasks() as tasks:
        tasks.spawn("publication", publication.run())
        try:
            yield f"127.0.0.1:{await server.start('127.0.0.1:0')}"
        finally:
            await server.drain(0)


@asynccontextmanager
async def ways(envoy: Path) -> AsyncIterator[tuple[dict[str, Call], RunningEdge]]:
    """The same method by both ways, on a connection each."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tandem-")))
        host = await enter(kit_server())
        control = await enter(_control(host))
        place = EdgePlace(envoy, folder / "log", Node("edge", MACHINE), (control,))
        running = await enter(edge(place))
        direct = await enter(grpc.aio.insecure_channel(host))
        through = await enter(grpc.aio.insecure_channel(f"127.0.0.1:{running.port}"))
        yield {DIRECT: echo_on(direct), THROUGH: echo_on(through)}, running


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[_MODES])) / _TICKS


async def compare(envoy: Path, blocks: int, concurrency: int) -> list[dict[str, object]]:
    async with ways(envoy) as (calls, running):
        found = {name: Measured() for name in calls}
        for call in calls.values():
            await cpu_us(call, concurrency)
        for _ in range(blocks):
            for name, call in calls.items():
                before_s = _cpu_s(running.pid)
                found[name].ours_us.append(await cpu_us(call, concurrency))
                spent_s = _cpu_s(running.pid) - before_s
                found[name].envoys_us.append(spent_s / BLOCK_CALLS * 1e6)
                found[name].latencies_us += await _latencies_us(call)
    return [_row(name, one, found[DIRECT], concurrency) for name, one in found.items()]


async def _latencies_us(call: Call) -> list[float]:
    """Of some calls, one behind the other."""
    request = probe.ProbeRequest(text="x" * 64)
    found = []
    for _ in range(BLOCK_CALLS // 10):
        started_s = stopwatch_s()
        await call(request)
        found.append((stopwatch_s() - started_s) * 1e6)
    return found


def _row(name: str, one: Measured, direct: Measured, concurrency: int) -> dict[str, object]:
    latencies = sorted(one.latencies_us)
    return {
        "way": name,
        "concurrency": concurrency,
        "cpu_us": round(statistics.median(one.ours_us), 1),
        # The kernel counts in hundredths of a second, so blocks have no median worth having.
        "envoy_cpu_us": round(statistics.mean(one.envoys_us), 1),
        "latency_us": round(statistics.median(latencies)),
        "latency_us_p99": round(latencies[len(latencies) * 99 // 100]),
        **against(direct.ours_us, one.ours_us),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=40, help="rounds of blocks (default 40)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    said = parser.parse_args()
    envoy = program(Environment.read())
    for concurrency in (1, 50):
        for found in uvloop.run(compare(envoy, said.blocks, concurrency)):
            line = json.dumps({"bench": "edge", **found}) if said.json else _sentence(found)
            sys.stdout.write(line + "\n")


def _sentence(found: dict[str, object]) -> str:
    return (
        f"{found['way']}, {found['concurrency']} at a time: CPU {found['cpu_us']} us a call and "
        f"Envoy's {found['envoy_cpu_us']} us; one at a time answered after "
        f"{found['latency_us']} us (99 %: {found['latency_us_p99']} us)"
    )


if __name__ == "__main__":
    main()
