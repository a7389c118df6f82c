"""What streaming a file through a Go host costs beside the bare hash: MB per second of CPU time,
for SHA-256 alone, for all that the agent takes of a file, and for the same through gRPC with token
and checks, caller included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

from tandemkit.core.environment import Environment
from tandemkit.testing.parts import demand
from tests.polyglot.going import go_host

_LINE = re.compile(
    r"^Benchmark(?P<name>\S+?)(?:-\d+)?\s.*\s(?P<rate>[\d.]+) MB/cpu-s", re.MULTILINE
)
_BARE = "BareSHA256"
_NAMES = {
    _BARE: "sha256",
    "Digesting": "digesting",
    "ThroughGRPC/name=": "through_grpc",
    "ThroughGRPC/name=files/a": "through_grpc_and_kept",
}


def once(go: str, sources: Path) -> dict[str, float]:
    """MB per second of CPU time of each, by Go's own benchmarks."""
    chosen = ("-run=^$", "-bench=.", "-benchtime=1s", "./agents/filedigest")
    argv = (go, "test", *chosen)
    known = Environment.read().variables
    done = subprocess.run(argv, cwd=sources, env=known, capture_output=True, text=True, check=True)
    return {found["name"]: float(found["rate"]) for found in _LINE.finditer(done.stdout)}


async def measure(rounds: int) -> dict[str, float]:
    go, sources = str(demand("go")["go"]), (await go_host()).sources
    every = [await asyncio.to_thread(once, go, sources) for _ in range(rounds)]
    found: dict[str, float] = {}
    for name, told in _NAMES.items():
        found[f"{told}_mb_per_cpu_s"] = round(statistics.median(one[name] for one in every))
        if name != _BARE:
            share = statistics.median(one[name] / one[_BARE] for one in every)
            found[f"{told}_share"] = round(share, 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="(default 5)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    said = parser.parse_args()
    found = asyncio.run(measure(said.rounds))
    if said.json:
        line = json.dumps({"bench": "hashing", **found})
    else:
        line = "hashing: " + ", ".join(f"{name} {value:g}" for name, value in found.items())
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
