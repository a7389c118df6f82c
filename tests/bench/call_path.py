"""CPU time of a unary call by the way that it takes, against bare grpc.aio over loopback.

Client, server and control plane run in one process and count together; blocks of calls go by turns,
so that noise meets all ways. Another way is one more entry in `ways`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import uvloop

from tandemkit.mesh.policy import Preference, ServicePolicy, Share
from tandemkit.rpc.client import mesh
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.report import Report
from tandemkit.rpc.server import Server
from tandemkit.rpc.spans import Recorder, Tracing
from tandemkit.telemetry.otlp import recording
from tandemkit.telemetry.sdk import ReadableSpan, SpanExporter, SpanExportResult
from tandemkit.testing import probe
from tandemkit.testing.control import VERSION, control
from tandemkit.testing.tokens import own_token
from tests.bench._control import run_again
from tests.bench._echo import Call, Echo, against, bare_server, echo_on, kit_server, rounds

BARE = "bare grpc.aio"
CONTRACT = Contract.of(probe.DESCRIPTOR)
TARGET = "xds:///tandem"
TRACE_SHARE = 0.01
DEADLINE_S = 30.0
# As on a day with a canary: testers by a header, and a tenth of everybody's calls.
POLICY = ServicePolicy(
    (Share(VERSION, 90), Share("green", 10)), (Preference("x-tester", "yes", "green"),)
)


@asynccontextmanager
async def ways(control_address: str) -> AsyncIterator[dict[str, Call]]:
    """Each way by its name; the first is what the others are measured against."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        recorder = stack.enter_context(recording(Dropped(), "bench"))
        tracing = Tracing(TRACE_SHARE, recorder)
        bare, kit = await enter(bare_server()), await enter(kit_server(Tracing(recorder=recorder)))
        to_bare = await enter(grpc.aio.insecure_channel(bare))
        token = stack.enter_context(own_token())
        asking = await enter(kit_server(Tracing(recorder=recorder), token))
        to_kit = await enter(grpc.aio.insecure_channel(kit))
        shown = await enter(mesh(asking, token=token))
        plain, traced = await enter(mesh(kit)), await enter(mesh(kit, tracing=tracing))
        await enter(control(control_address, CONTRACT, int(kit.rpartition(":")[2]), POLICY))
        fleet = await enter(mesh(TARGET, tracing=tracing))
        way = same_host(recorder).local.way
        near = await enter(mesh(kit, way))
        near_traced = await enter(mesh(kit, way, tracing=tracing))
        yield {
            BARE: echo_on(to_bare),
            "bare, with a deadline": echo_on(to_bare, timeout=DEADLINE_S),
            "bare client, kit server": echo_on(to_kit),
            "mesh, kit server": plain.stub(echo_on),
            "mesh that shows a token, kit server that asks": shown.stub(echo_on),
            "mesh that traces 1 %, kit server": traced.stub(echo_on),
            "mesh that traces 1 %, xds:///tandem": fleet.stub(echo_on),
            "mesh, in process": near.stub(echo_on),
            "mesh, in process, with a deadline": near.stub(with_deadline),
            "mesh that traces 1 %, in process": near_traced.stub(echo_on),
        }


class Dropped(SpanExporter):
    """Takes spans and keeps none: what is measured is what a call pays for them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def same_host(recorder: Recorder) -> Server:
    """A server whose agent its own callers reach without a wire."""
    server = Server(Report(Tracing(recorder=recorder)))
    server.mount(CONTRACT, Echo())
    server.health.put(probe.SERVICE, serving=True)
    return server


def with_deadline(channel: grpc.aio.Channel) -> Call:
    """The method, called by somebody who sets a deadline."""
    return echo_on(channel, timeout=DEADLINE_S)


async def compare(control_address: str, blocks: int, concurrency: int) -> list[dict[str, object]]:
    async with ways(control_address) as calls:
        found = await rounds(calls, blocks, concurrency)
    return [
        {
            "way": way,
            "concurrency": concurrency,
            "cpu_us": round(statistics.median(each_us), 1),
            **against(found[BARE], each_us),
        }
        for way, each_us in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=40, help="rounds of blocks (default 40)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--control", help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.control is None:
        sys.exit(run_again(__file__, sys.argv[1:]))
    for concurrency in (1, 50):
        for found in uvloop.run(compare(said.control, said.blocks, concurrency)):
            if said.json:
                line = json.dumps({"bench": "call_path", **found})
            else:
                line = (
                    f"{found['way']}, {concurrency} at a time: {found['cpu_us']} us a call, "
                    f"ratio {found['ratio']} (p10 {found['ratio_p10']}, p90 {found['ratio_p90']})"
                )
            sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
