"""What a fleet of a given size costs the control plane, and how long a lost host takes to reach 200
clients that decode and acknowledge, as gRPC's do.

Clients and control plane run in one process and count together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import grpc
import uvloop
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.service.discovery.v3.ads_pb2_grpc import AggregatedDiscoveryServiceStub
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest

from tandemkit.core.clock import SystemClock
from tandemkit.mesh.ads import DiscoveryServer
from tandemkit.mesh.catalogue import Catalogue
from tandemkit.mesh.policy import TrafficPolicy
from tandemkit.mesh.publication import COALESCE_S, Publication
from tandemkit.mesh.snapshot import ENDPOINTS, generation
from tandemkit.mesh.validation import objections
from tandemkit.rpc.server import Server
from tandemkit.supervise.tasks import Tasks
from tests.bench._synthetic import GROUP_AGENTS, MACHINES, synthetic

T = TypeVar("T")
STREAMS, LOSSES = 200, 20
HERE = MACHINES[0]


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What it returns, and the milliseconds of CPU that it took."""
    started_s = time.process_time()
    done = work()
    return done, round((time.process_time() - started_s) * 1000, 2)


def without(known: Catalogue, number: int) -> Catalogue:
    """One host is down."""
    hosts = list(known.hosts)
    lost = number % len(hosts)
    hosts[lost] = replace(hosts[lost], serving=False)
    return replace(known, hosts=tuple(hosts))


def making(known: Catalogue) -> dict[str, float]:
    """The whole from nothing, and again after one host is lost; both checked."""
    policy = TrafficPolicy()
    made, make_ms = timed(lambda: generation(known, policy))
    told, encode_ms = timed(lambda: made.on(HERE))
    _, check_ms = timed(lambda: objections(told))

    def lose() -> None:
        less = generation(without(known, 0), policy, made)
        assert objections(less.on(HERE, (made, told)), told) == []

    sizes = {part.type_url: sum(map(len, _values(part))) for part in told.parts}
    return {
        "whole_ms": round(make_ms + encode_ms + check_ms, 2),
        "loss_ms": statistics.median(timed(lose)[1] for _ in range(LOSSES)),
        "whole_bytes": sum(sizes.values()),
        "routes_bytes": len(_values(told.routes)[0]),
    }


def _values(part: Any) -> list[bytes]:
    return [packed.value for packed in part.by_name.values()]


@asynccontextmanager
async def control(known: Catalogue) -> AsyncIterator[tuple[Publication, str]]:
    publication, server = Publication(SystemClock()), Server()
    discovery = DiscoveryServer(publication)
    server.also(discovery.generic_handler(), discovery.close)
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        address = f"unix:{folder}/control.sock"
        async with Tasks() as tasks:
            tasks.spawn("publication", publication.run())
            publication.publish(known)
            await server.start(address)
            try:
                yield publication, address
            finally:
                await server.drain(0)


class Watcher:
    """One raw stream that wants the endpoints of every cluster."""

    def __init__(self, stub: Any, clusters: tuple[str, ...]) -> None:
        self._stream = stub.StreamAggregatedResources()
        self._asked = DiscoveryRequest(type_url=ENDPOINTS, resource_names=clusters)
        self._asked.node.locality.zone = HERE

    async def hear(self) -> float:
        """When it has decoded and acknowledged one more response."""
        await self._stream.write(self._asked)
        told = await self._stream.read()
        for packed in told.resources:
            ClusterLoadAssignment.FromString(packed.value)
        self._asked.response_nonce, self._asked.version_info = told.nonce, told.version_info
        return time.perf_counter()


async def telling(known: Catalogue) -> dict[str, float]:
    """From the moment that a loss is published until each of the clients has heard of it."""
    clusters = tuple(sorted({host.group for host in known.hosts}))
    waits_ms: list[float] = []
    costs_ms: list[float] = []
    async with (
        control(known) as (publication, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        stub: Any = AggregatedDiscoveryServiceStub(channel)
        watchers = [Watcher(stub, clusters) for _ in range(STREAMS)]
        await asyncio.gather(*(one.hear() for one in watchers))
        for number in range(LOSSES):
            await SystemClock().sleep(COALESCE_S)
            before_s, started_s = time.process_time(), time.perf_counter()
            publication.publish(without(known, number))
            heard_s = await asyncio.gather(*(one.hear() for one in watchers))
            costs_ms.append((time.process_time() - before_s) * 1000)
            waits_ms += [(moment_s - started_s) * 1000 for moment_s in heard_s]
    return {
        "streams": STREAMS,
        "heard_ms_p50": round(statistics.median(waits_ms), 1),
        "heard_ms_p99": round(statistics.quantiles(waits_ms, n=100)[98], 1),
        "cpu_ms": round(statistics.median(costs_ms), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="*", default=[10, 100, 1000])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    said = parser.parse_args()
    for count in said.hosts:
        known = synthetic(count)
        found = making(known) | uvloop.run(telling(known))
        if said.json:
            line = json.dumps({"bench": "control_scale", "hosts": count, **found})
        else:
            figures = ", ".join(f"{name} {value}" for name, value in found.items())
            line = f"{count} hosts, {count * GROUP_AGENTS} endpoints of agents: {figures}"
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
