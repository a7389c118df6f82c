"""Vectors in files beside FAISS's own indexes: searches with and without filters, what is found of
what is there, the time to build and the memory, each store in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import Any

from threadpoolctl import threadpool_limits

from tests.bench import _vectors


def measured(name: str, vectors: int, number: int, told: str) -> dict[str, Any]:
    argv = (sys.executable, _vectors.__file__, name, str(vectors), str(number))
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        argv, input=told, capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def line(found: dict[str, Any]) -> str:
    searches = (
        f"{name} {one['p50_ms']} ms (p99 {one['p99_ms']}), recall@10 {one['recall']}"
        for name, one in found.items()
        if isinstance(one, dict)
    )
    reopened = (
        f" with {found['building_mb']} MB, reopened in {found['reopen_s']} s"
        if "reopen_s" in found
        else ""
    )
    head = f"{found['store']}: built in {found['build_s']} s{reopened}, {found['rss_mb']} MB"
    return "; ".join((head, *searches))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=100_000, help="(default 100000)")
    parser.add_argument("--queries", type=int, default=300, help="(default 300)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    said = parser.parse_args()
    with threadpool_limits(1):
        told = json.dumps(_vectors.truth(said.vectors, _vectors.queries(said.queries)))
    stores = []
    for name in _vectors.CONTENDERS:
        stores.append(measured(name, said.vectors, said.queries, told))
        if not said.json:
            sys.stdout.write(line(stores[-1]) + "\n")
            sys.stdout.flush()
    if said.json:
        facts = {"vectors": said.vectors, "dimension": _vectors.DIMENSION}
        sys.stdout.write(json.dumps({"bench": "vectors", **facts, "stores": stores}) + "\n")


if __name__ == "__main__":
    main()
