"""What an agent's callers notice while its neighbour holds the loop of one of its two hosts.

A stock client calls at a steady rate: before, in the first three seconds of the hold, and behind
them. The hold is Python code that spins, or C code that keeps the interpreter lock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from typing import Any

import grpc

from tandemkit.core.clock import SystemClock
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.parts import short_folder
from tests.cluster import stuck_host
from tests.cluster.controlled import controlled
from tests.cluster.load import Outcome
from tests.cluster.mesh.trial_contract import ALPHA, Answer, Question
from tests.cluster.mesh.trial_fleet import Client

RATE, PART_S, FIRST_S = 200, 8, 3
ROUNDS = 3
WAYS = ("spin", "compute_locked")
_CALLED = "Beta/Ask"
_CLOCK = SystemClock()


async def played(way: str) -> dict[str, object]:
    """One hold in a fleet of its own: a control, two hosts, one client."""
    with short_folder() as folder:
        async with controlled(folder) as fleet, Tasks() as tasks:
            hosts = (fleet.start_host(name, module=stuck_host) for name in ("a", "b"))
            await asyncio.gather(*hosts)
            await fleet.until_serving("a", "b")
            client = await fleet.client()
            await client.until_only(_CALLED, "a", "b")
            before = await _called(client, PART_S)
            async with fleet.at("a") as channel:
                tasks.spawn("hold", _hold(channel, way))
                # Those that the held host has taken wait for it, and others do not wait for them.
                first, behind = await asyncio.gather(
                    _called(client, FIRST_S), _called(client, PART_S, FIRST_S)
                )
            ratio = behind.most_s / before.most_s
    parts = {"before": before, "first": first, "behind": behind}
    return {
        "way": way,
        **{f"{name}_p99_ms": round(1e3 * one.most_s, 2) for name, one in parts.items()},
        **{f"{name}_failed": one.failed for name, one in parts.items()},
        "first_slowest_s": round(first.slowest_s, 3),
        "answered_by": sorted(behind.answers),
        "ratio": round(ratio, 2),
    }


async def _called(client: Client, for_s: int, after_s: int = 0) -> Outcome:
    await _CLOCK.sleep(after_s)
    return await client.run(_CALLED, RATE * for_s, per_s=RATE)


async def _hold(channel: grpc.aio.Channel, way: str) -> None:
    codecs = Question.SerializeToString, Answer.FromString
    call: Any = channel.unary_unary(f"/{ALPHA}/Ask", *codecs)
    try:
        await call(Question(text=way))
    except grpc.aio.AioRpcError:
        return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    said = parser.parse_args()
    for way in WAYS:
        rounds = [asyncio.run(played(way)) for _ in range(ROUNDS)]
        for found in rounds:
            sys.stdout.write(json.dumps({"bench": "neighbours", **found}) + "\n")
        middle = statistics.median(float(str(one["ratio"])) for one in rounds)
        if not said.json:
            sys.stdout.write(f"{way}: p99 behind 3 s against before: {middle:.2f} (median)\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
