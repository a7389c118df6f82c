"""What it costs to ask a call for its token: the look-up of a method's handler, which asks, beside
the same without asking, and beside the way in which grpcio alone finds it among so many agents.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import grpc

from tandemkit.core.token import Token
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.gate import Gate
from tandemkit.testing import probe
from tandemkit.testing.tokens import own_token

LOOKS = 20_000
AGENTS = 20
METHODS = ("Echo", "Narrow", "Collect", "Tail", "Burst", "Chat")
# What a call of the kit's own client brings besides.
HEADERS = (("user-agent", "grpc-python-asyncio/1.78.0 grpc-c/52.0.0 (linux; chttp2)"),)


class Came(NamedTuple):
    """A call as grpcio shows it to who looks its handler up."""

    method: str
    invocation_metadata: tuple[tuple[str, str], ...]


def _handler() -> Any:
    return grpc.unary_unary_rpc_method_handler(lambda _request, _context: None)


def _gate(token: Token | None) -> Gate:
    gate = Gate(token)
    one = Contract.of(probe.DESCRIPTOR).methods[0]
    for agent in range(AGENTS):
        for method in METHODS:
            path = f"/tandem.bench.v1.Agent{agent}Service/{method}"
            gate.put(replace(one, path=path, public=False), _handler())
    return gate


def _one_by_one() -> Callable[[Any], object]:
    services = [
        grpc.method_handlers_generic_handler(
            f"tandem.bench.v1.Agent{agent}Service", {method: _handler() for method in METHODS}
        )
        for agent in range(AGENTS)
    ]

    def find(call: Any) -> object:
        for service in services:
            found = service.service(call)
            if found is not None:
                return found
        return None

    return find


def look_us(find: Callable[[Came], object], call: Came) -> float:
    started_s = time.process_time()
    for _ in range(LOOKS):
        find(call)
    return (time.process_time() - started_s) / LOOKS * 1e6


def measure(rounds: int) -> dict[str, float]:
    path = f"/tandem.bench.v1.Agent{AGENTS // 2}Service/{probe.path('Echo').rpartition('/')[2]}"
    with own_token() as token:
        shown, bare = Came(path, (*HEADERS, token.header)), Came(path, HEADERS)
        asking: Any = _gate(token).service
        silent: Any = _gate(None).service
        grpcio = _one_by_one()
        assert asking(shown) is not None
        found: dict[str, list[float]] = {"asking_us": [], "silent_us": [], "grpcio_us": []}
        for _ in range(rounds):
            found["asking_us"].append(look_us(asking, shown))
            found["silent_us"].append(look_us(silent, bare))
            found["grpcio_us"].append(look_us(grpcio, bare))
    return {name: round(statistics.median(each), 2) for name, each in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="(default 20)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    said = parser.parse_args()
    found = measure(said.rounds)
    if said.json:
        line = json.dumps({"bench": "asking", **found})
    else:
        line = (
            f"asking: a handler among {AGENTS} agents is found in {found['asking_us']} us with its "
            f"token, {found['silent_us']} us without, {found['grpcio_us']} us as grpcio would"
        )
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
