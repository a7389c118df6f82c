"""What the two backends of the process registry cost, in one run: look-ups, listings, writes."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from tandemkit.supervise.roll.cached import CachedRoll
from tandemkit.supervise.roll.owners import Owner
from tandemkit.supervise.roll.plain import PlainRoll
from tandemkit.supervise.roll.protocol import Backend, Entry, Key

NAMESPACES, NAMES = 10, 100
ROUNDS = 5
BACKENDS: dict[str, Callable[[], Backend]] = {"plain": PlainRoll, "cached": CachedRoll}

Row = dict[str, float | str]


def entries() -> list[Entry]:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        Entry(Key(f"namespace-{space}", f"name-{name}"), Owner(name + 1, 1, "boot"), since)
        for space in range(NAMESPACES)
        for name in range(NAMES)
    ]


def rate(work: Callable[[], int]) -> float:
    """Operations a second, of the best of some rounds."""
    best = 0.0
    for _ in range(ROUNDS):
        begun_s = time.perf_counter()
        done = work()
        best = max(best, done / (time.perf_counter() - begun_s))
    return best


def measured(name: str, backend: Backend, found: list[Entry]) -> list[Row]:
    keys = [tuple(one.key) for one in found] * 100
    spaces = [f"namespace-{number}" for number in range(NAMESPACES)] * 100

    def put() -> int:
        for one in found:
            backend.put(one)
        return len(found)

    def find() -> int:
        for namespace, key in keys:
            backend.find(namespace, key)
        return len(keys)

    def listed() -> int:
        for namespace in spaces:
            backend.listed(namespace)
        return len(spaces)

    def everything() -> int:
        for _ in range(100):
            backend.listed()
        return 100

    works = {
        "write": put,
        "look up a name": find,
        f"list a namespace of {NAMES}": listed,
        f"list all {len(found)}": everything,
    }
    return [
        {"backend": name, "what": what, "per_s": round(rate(work))} for what, work in works.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    found = entries()
    rows = [row for name, make in BACKENDS.items() for row in measured(name, make(), found)]
    if as_json:
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    for row in rows:
        sys.stdout.write(f"{row['backend']:8} {row['what']:26} {row['per_s']:>12,} a second\n")


if __name__ == "__main__":
    main()
