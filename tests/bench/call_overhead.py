"""CPU time of a unary call through all that the kit puts in front of a handler, against a bare
grpc.aio servicer.

The messages, the client and the process are the same; blocks of calls alternate, so that noise
meets both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from typing import Any

import grpc
import uvloop

from tests.bench._echo import against, bare_server, echo_on, kit_server, rounds


async def compare(blocks: int, concurrency: int, options: dict[str, Any]) -> dict[str, float]:
    async with (
        bare_server() as bare,
        kit_server() as kit,
        grpc.aio.insecure_channel(bare) as to_bare,
        grpc.aio.insecure_channel(kit) as to_kit,
    ):
        calls = {"bare": echo_on(to_bare, **options), "kit": echo_on(to_kit, **options)}
        found = await rounds(calls, blocks, concurrency)
    return {
        "concurrency": concurrency,
        "bare_us": round(statistics.median(found["bare"]), 1),
        "kit_us": round(statistics.median(found["kit"]), 1),
        **against(found["bare"], found["kit"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=40, help="pairs of blocks (default 40)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    said = parser.parse_args()
    traced = (("traceparent", f"00-{'a' * 32}-{'b' * 16}-00"),)
    for name, options in {
        "plain": {},
        "with a deadline and a trace": {"timeout": 5.0, "metadata": traced},
    }.items():
        for concurrency in (1, 50):
            found = uvloop.run(compare(said.blocks, concurrency, options))
            if said.json:
                line = json.dumps({"bench": "call_overhead", "call": name, **found})
            else:
                line = (
                    f"{name}, {concurrency} at a time: bare {found['bare_us']} us, "
                    f"kit {found['kit_us']} us a call, "
                    f"ratio {found['ratio']} (p10 {found['ratio_p10']}, p90 {found['ratio_p90']})"
                )
            sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
