"""When the last of a recorded workload's tasks is over: as the agent assigns them, by round robin,
and each to the shortest queue; over orders in which they come. And what it costs to say so.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time

from tests.bench._makespan import WAYS, makespan_s, orders

Row = dict[str, float | str]


def measured(name: str, count: int) -> Row:
    began_s = time.perf_counter()
    found = sorted(makespan_s(WAYS[name](order)) for order in orders(count))
    passed_ms = (time.perf_counter() - began_s) * 1e3 / count
    return {
        "way": name,
        "orders": count,
        "least_s": round(found[0], 1),
        "median_s": round(statistics.median(found), 1),
        "most_s": round(found[-1], 1),
        "ms_each": round(passed_ms, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=20, help="(default 20)")
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    said = parser.parse_args()
    for name in WAYS:
        row = measured(name, said.orders)
        if said.json:
            sys.stdout.write(json.dumps({"bench": "assignment", **row}) + "\n")
        else:
            sys.stdout.write(
                f"{name:15} all over after {row['median_s']:6} s ({row['least_s']} to "
                f"{row['most_s']} over {row['orders']} orders), {row['ms_each']} ms each\n"
            )


if __name__ == "__main__":
    main()
