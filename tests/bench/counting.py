"""What counting a call costs: the two lines that the wrapper runs for one that ends well, beside a
call that stays in the process, which is the cheapest one that there is.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import uvloop

from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server
from tandemkit.rpc.tally import Tally
from tandemkit.testing import probe
from tests.bench._echo import Echo, cpu_us

COUNTS = 20_000
TOOK_S = 0.0007


def count_us(count: Callable[[], None]) -> float:
    started_s = time.process_time()
    for _ in range(COUNTS):
        count()
    return (time.process_time() - started_s) / COUNTS * 1e6


async def measure(rounds: int) -> dict[str, float]:
    server, tally = Server(), Tally(probe.path("Echo"))
    server.mount(Contract.of(probe.DESCRIPTOR), Echo())
    server.health.put(probe.SERVICE, serving=True)
    way = server.local.inside(probe.path("Echo"))
    assert way is not None
    add = tally.ok.add

    def counted() -> None:
        tally.started += 1
        add(TOOK_S)

    def nothing() -> None:
        pass

    await cpu_us(way, 1)
    counts, calls = [], []
    for _ in range(rounds):
        counts.append(count_us(counted) - count_us(nothing))
        calls.append(await cpu_us(way, 1))
    await server.drain(0)
    ratios = [one / call_us for one, call_us in zip(counts, calls, strict=True)]
    return {
        "count_us": round(statistics.median(counts), 2),
        "in_process_call_us": round(statistics.median(calls), 1),
        "share": round(statistics.median(ratios), 3),
        "share_max": round(max(ratios), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="(default 40)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    said = parser.parse_args()
    found = uvloop.run(measure(said.rounds))
    if said.json:
        line = json.dumps({"bench": "counting", **found})
    else:
        line = (
            f"counting: {found['count_us']} us beside {found['in_process_call_us']} us of a call "
            f"in the process, a share of {found['share']} (at most {found['share_max']})"
        )
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
