"""What a port and a grant cost to have: allocate, renew, look, beside the one durable write of
SQLite that each allocation has to wait for; and what the two agents cost while nobody asks.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import uvloop

from services.platform.port_registry.agent import AGENT as PORTS
from services.platform.resource.agent import AGENT as RESOURCES
from tandem.platform.config.v1 import port_registry_pb2 as ports_cfg
from tandem.platform.config.v1 import resource_pb2 as cfg
from tandem.platform.v1 import port_registry_service_pb2 as ports
from tandem.platform.v1 import port_registry_service_pb2_grpc as ports_rpc
from tandem.platform.v1 import resource_pb2 as nouns
from tandem.platform.v1 import resource_service_pb2 as pb
from tandem.platform.v1 import resource_service_pb2_grpc as rpc
from tandemkit.storage.state.protocol import Change
from tandemkit.storage.state.sqlite import SqliteState, sqlite_state
from tandemkit.testing.agents import serving

_PORTS = "ranges:\n  - {name: grpc, first: 20000, last: 21999}\n"
_POOLS = "pools:\n  - {pool: standard, memory_mib: 100000}\n"
Call = Callable[[int], Awaitable[object]]


@dataclass(frozen=True)
class Desk:
    """Both agents and a bare store, side by side."""

    ports: ports_rpc.PortRegistryServiceAsyncStub
    resources: rpc.ResourceServiceAsyncStub
    store: SqliteState

    def calls(self) -> dict[str, Call]:
        """By what they are; the number makes each one new."""
        return {
            "durable write": lambda n: self.store.write([Change(f"n/{n}", b"x" * 60)]),
            "AllocatePort": lambda n: self.ports.AllocatePort(
                ports.AllocatePortRequest(range="grpc", owner=f"owner-{n}", use="debug")
            ),
            "AcquireGrant": lambda n: self.resources.AcquireGrant(
                pb.AcquireGrantRequest(
                    holder=f"holder-{n}", use="model", amounts=nouns.ResourceAmounts(memory_mib=1)
                )
            ),
            "RenewPorts": lambda n: self.ports.RenewPorts(
                ports.RenewPortsRequest(owner=f"owner-{n}")
            ),
            "RenewGrants": lambda n: self.resources.RenewGrants(
                pb.RenewGrantsRequest(holder=f"holder-{n}")
            ),
            "GetResources": lambda _: self.resources.GetResources(pb.GetResourcesRequest()),
        }


@asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[Desk]:
    for name, text in (("ports.yaml", _PORTS), ("pools.yaml", _POOLS)):
        await asyncio.to_thread((folder / name).write_text, text, "utf-8")
    listed = ports_cfg.PortRegistrySettings(ports_file=f"{folder}/ports.yaml", address="127.0.0.1")
    pools = cfg.ResourceSettings(pools_file=f"{folder}/pools.yaml", memory_scale=1)
    async with (
        serving(PORTS, settings=listed, state_dir=folder / "a") as first,
        serving(RESOURCES, settings=pools, state_dir=folder / "b") as second,
        sqlite_state(folder / "bare.sqlite") as store,
    ):
        yield Desk(ports_rpc.PortRegistryServiceStub(first), _resources(second), store)


def _resources(channel: grpc.aio.Channel) -> rpc.ResourceServiceAsyncStub:
    return rpc.ResourceServiceStub(channel)


async def measure(rounds: int, idle_s: float) -> dict[str, object]:
    took_ms: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        async with desk(Path(folder)) as found:
            for number in range(rounds):
                for name, call in found.calls().items():
                    started_s = time.perf_counter()
                    await call(number)
                    took_ms.setdefault(name, []).append((time.perf_counter() - started_s) * 1e3)
            busy_s = time.process_time()
            await asyncio.to_thread(time.sleep, idle_s)
            idle_percent = (time.process_time() - busy_s) / idle_s * 100
    write_ms = statistics.median(took_ms["durable write"])
    return {
        "calls": {
            name: {
                "p50_ms": round(statistics.median(listed), 2),
                "p99_ms": round(statistics.quantiles(listed, n=100)[98], 2),
                "of_a_write": round(statistics.median(listed) / write_ms, 2),
            }
            for name, listed in took_ms.items()
        },
        "idle_percent": round(idle_percent, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000, help="(default 1000)")
    parser.add_argument("--idle-s", type=float, default=20.0, help="(default 20)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    said = parser.parse_args()
    found = uvloop.run(measure(said.rounds, said.idle_s))
    if said.json:
        sys.stdout.write(json.dumps({"bench": "books", **found}) + "\n")
        return
    calls = found["calls"]
    assert isinstance(calls, dict)
    for name, one in calls.items():
        line = f"{name:14} {one['p50_ms']:6.2f} ms, p99 {one['p99_ms']:6.2f} ms, "
        sys.stdout.write(f"{line}{one['of_a_write']:5.2f} of a durable write\n")
    sys.stdout.write(f"idle: {found['idle_percent']} % of a core, the bench included\n")


if __name__ == "__main__":
    main()
