"""What callers of each class meet while a server is asked for more and more: once, twice ... five
times the normal load, by a server that sheds and, in the same run, by one that does not.

Normal is half of what the server answers when eight callers each wait for their answer. Calls are
started at a rate, whatever became of those before.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys

from tandemkit.testing.parts import short_folder
from tests.bench._usage import resident_mb
from tests.cluster.laden import SHED, laden
from tests.cluster.load import Outcome


async def normal_per_s(work_ms: float) -> float:
    with short_folder() as folder:
        async with laden(folder, work_ms) as it:
            return await it.capacity_per_s() / 2


async def step(
    work_ms: float, per_s: float, for_s: float, *, guarded: bool
) -> list[dict[str, object]]:
    """A row for each class, of a server that was just started."""
    with short_folder() as folder:
        async with laden(folder, work_ms, *(() if guarded else ("--unguarded",))) as it:
            outcomes = await it.called(per_s, for_s)
            told = {"sheds": guarded, "per_s": round(per_s)}
            memory = {"resident_mb": round(resident_mb(it.process.pid), 1)}
    return [
        {**told, "class": priority.word, **_told(outcome), **memory}
        for priority, outcome in outcomes.items()
    ]


def _told(outcome: Outcome) -> dict[str, object]:
    shed = outcome.failures.get(SHED, 0)
    admitted, failed = outcome.started - shed, outcome.failed - shed
    return {
        "started": outcome.started,
        "ok": outcome.ok,
        "shed": shed,
        "failed": failed,
        "failed_percent": round(100 * failed / max(admitted, 1), 3),
        "p50_ms": round(1e3 * outcome.half_s, 1),
        "p99_ms": round(1e3 * outcome.most_s, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--work-ms", type=float, default=4.0, help="a call's; default %(default)s")
    parser.add_argument("--seconds", type=float, default=8.0, help="each; default %(default)s")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    said = parser.parse_args()
    normal = asyncio.run(normal_per_s(said.work_ms))
    # By turns: what neighbours of the machine take meets both.
    for times, guarded in itertools.product(said.times, (True, False)):
        run = step(said.work_ms, normal * times, said.seconds, guarded=guarded)
        for row in asyncio.run(run):
            known = {"load": times, **row}
            sys.stdout.write(f"{json.dumps(known) if said.json else _line(known)}\n")
            sys.stdout.flush()


def _line(row: dict[str, object]) -> str:
    return (
        f"{'sheds' if row['sheds'] else 'lets all in'}, {row['load']}x ({row['per_s']}/s), "
        f"{row['class']:<11} {row['started']} started = {row['ok']} ok + {row['shed']} shed + "
        f"{row['failed']} failed ({row['failed_percent']} % of those let in); half within "
        f"{row['p50_ms']} ms, 99 % within {row['p99_ms']} ms; {row['resident_mb']} MB"
    )


if __name__ == "__main__":
    main()
