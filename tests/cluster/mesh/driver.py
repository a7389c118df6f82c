"""A stock gRPC client as a process of its own, for it reads its bootstrap from the environment
once. It makes the calls that a test asks for, over a socket, and counts how they end.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc import experimental

from tandemkit.core.clock import stopwatch_s
from tests.cluster.mesh.trial_contract import Answer, Question

RUN, MADE = "/driver/Run", "/driver/Made"


@dataclass
class Calls:
    """What to call, how often, and how many calls at once. No deadline: none of the caller's."""

    path: str
    count: int
    at_once: int = 4
    headers: dict[str, str] = field(default_factory=dict)
    deadline_s: float | None = None


@dataclass
class Outcome:
    """Answers by who gave them, failures by code, and the slowest call of all."""

    answers: dict[str, int]
    failures: dict[str, int]
    slowest_s: float
    last_failure: str = ""


class Driver:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._made = 0

    async def run(self, wire: bytes, _context: Any) -> bytes:
        calls = Calls(**json.loads(wire))
        outcome = Outcome(Counter(), Counter(), 0.0)
        turns = iter(range(calls.count))
        await asyncio.gather(*(self._some(calls, turns, outcome) for _ in range(calls.at_once)))
        return json.dumps(vars(outcome)).encode()

    async def made(self, _wire: bytes, _context: Any) -> bytes:
        return json.dumps(self._made).encode()

    async def _some(self, calls: Calls, turns: Iterator[int], outcome: Outcome) -> None:
        method: Any = self._channel.unary_unary(
            calls.path,
            request_serializer=Question.SerializeToString,
            response_deserializer=Answer.FromString,
        )
        metadata = tuple(calls.headers.items())
        for _ in turns:
            started_s = stopwatch_s()
            try:
                answer = await method(Question(), metadata=metadata, timeout=calls.deadline_s)
                outcome.answers[answer.text] += 1
            except grpc.aio.AioRpcError as error:
                outcome.failures[error.code().name] += 1
                outcome.last_failure = str(error.details())
            outcome.slowest_s = max(outcome.slowest_s, stopwatch_s() - started_s)
            self._made += 1


async def serve(address: str, target: str) -> None:
    plain: Any = experimental
    credentials = grpc.xds_channel_credentials(plain.insecure_channel_credentials())
    async with grpc.aio.secure_channel(target, credentials) as channel:
        driver = Driver(channel)
        server = grpc.aio.server()
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Run": grpc.unary_unary_rpc_method_handler(driver.run),
            "Made": grpc.unary_unary_rpc_method_handler(driver.made),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("driver", methods),))
        server.add_insecure_port(address)
        await server.start()
        await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
