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

from tandemkit.core.clock import SystemClock
from tandemkit.core.environment import Environment
from tandemkit.core.token import FILE_NAME, Token
from tandemkit.rpc import admin
from tandemkit.rpc.bearing import bearing
from tandemkit.rpc.streams import Streams
from tests.cluster.mesh.trial_contract import Answer, Question

RUN, MADE, UNTIL = "/driver/Run", "/driver/Made", "/driver/Until"
_LOOKS_PER_S = 50
_CLOCK = SystemClock()


@dataclass
class Calls:
    """What to call, how often, and how many calls at once; with a rate, one call after the other is
    started at it, whatever became of those before. No deadline: none of the caller's.
    """

    path: str
    count: int
    at_once: int = 4
    per_s: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    deadline_s: float | None = None


@dataclass
class Outcome:
    """Answers by who gave them, failures by code, and the slowest call of all. Moments are those of
    the machine's monotonic clock, which all processes share.
    """

    answers: dict[str, int]
    failures: dict[str, int]
    slowest_s: float
    last_failure: str = ""
    started: int = 0
    began_s: float = 0.0
    ended_s: float = 0.0
    # When each call that failed had begun, and its code.
    failed_calls: list[tuple[float, str]] = field(default_factory=list)


class Driver:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._made = 0

    async def run(self, wire: bytes, _context: Any) -> bytes:
        calls = Calls(**json.loads(wire))
        outcome = Outcome(Counter(), Counter(), 0.0, began_s=_CLOCK.monotonic_s())
        if calls.per_s:
            await self._at_a_rate(calls, outcome)
        else:
            turns = iter(range(calls.count))
            await asyncio.gather(*(self._some(calls, turns, outcome) for _ in range(calls.at_once)))
        outcome.ended_s = _CLOCK.monotonic_s()
        return json.dumps(vars(outcome)).encode()

    async def made(self, _wire: bytes, _context: Any) -> bytes:
        return json.dumps(self._made).encode()

    async def until(self, wire: bytes, _context: Any) -> bytes:
        """When a call was first answered by the one that is named, calling until then."""
        path, answering = json.loads(wire)
        outcome = Outcome(Counter(), Counter(), 0.0)
        while answering not in outcome.answers:
            await _CLOCK.sleep(1 / _LOOKS_PER_S)
            await self._some(Calls(path, 1), iter((0,)), outcome)
        return json.dumps(_CLOCK.monotonic_s()).encode()

    async def _at_a_rate(self, calls: Calls, outcome: Outcome) -> None:
        """Each at its own moment: late ones are caught up with, so none is left out."""
        async with asyncio.TaskGroup() as started:
            for number in range(calls.count):
                due_s = outcome.began_s + number / calls.per_s
                await _CLOCK.sleep(max(0.0, due_s - _CLOCK.monotonic_s()))
                started.create_task(self._some(calls, iter((number,)), outcome))

    async def _some(self, calls: Calls, turns: Iterator[int], outcome: Outcome) -> None:
        method: Any = self._channel.unary_unary(
            calls.path,
            request_serializer=Question.SerializeToString,
            response_deserializer=Answer.FromString,
        )
        metadata = tuple(calls.headers.items())
        for _ in turns:
            outcome.started += 1
            started_s = _CLOCK.monotonic_s()
            try:
                answer = await method(Question(), metadata=metadata, timeout=calls.deadline_s)
                outcome.answers[answer.text] += 1
            except grpc.aio.AioRpcError as error:
                outcome.failures[error.code().name] += 1
                outcome.failed_calls.append((started_s, error.code().name))
                outcome.last_failure = str(error.details())
            outcome.slowest_s = max(outcome.slowest_s, _CLOCK.monotonic_s() - started_s)
            self._made += 1


async def serve(address: str, target: str) -> None:
    plain: Any = experimental
    credentials = grpc.xds_channel_credentials(plain.insecure_channel_credentials())
    async with grpc.aio.secure_channel(target, credentials) as channel:
        token = Environment.read().home / FILE_NAME
        driver = Driver(bearing(channel, Token(token) if token.exists() else None))
        server = grpc.aio.server()
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Run": grpc.unary_unary_rpc_method_handler(driver.run),
            "Made": grpc.unary_unary_rpc_method_handler(driver.made),
            "Until": grpc.unary_unary_rpc_method_handler(driver.until),
        }
        driven = grpc.method_handlers_generic_handler("driver", methods)
        server.add_generic_rpc_handlers((driven, *admin.handlers(Streams())))
        server.add_insecure_port(address)
        await server.start()
        await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
