"""Calls at a rate, from a process of its own, and what became of each: started = ok + failed.

A stock client: it knows `xds:///tandem` or an address, the fleet's token, and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import json_format
from grpc import experimental

from tandemkit.core.clock import SystemClock
from tandemkit.core.environment import Environment
from tandemkit.core.names import AgentName
from tandemkit.core.token import FILE_NAME, Token
from tandemkit.rpc.bearing import bearing
from tandemkit.rpc.channel import OPTIONS
from tests.cluster.mesh.trial_contract import Answer

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
    wait_for_ready: bool = False
    # The request's bytes, as hexadecimal digits.
    request: str = ""
    # Whether it is answered as the trial agents do: with a name.
    is_named: bool = True


@dataclass
class Outcome:
    """Answers by who gave them, failures by code, and the slowest call of all. Moments are those of
    the machine's monotonic clock, which all processes share.
    """

    answers: dict[str, int] = field(default_factory=Counter)
    failures: dict[str, int] = field(default_factory=Counter)
    slowest_s: float = 0.0
    last_failure: str = ""
    started: int = 0
    began_s: float = 0.0
    ended_s: float = 0.0
    # When each call that failed had begun, and its code.
    failed_calls: list[tuple[float, str]] = field(default_factory=list)
    # Half of the answered calls took no longer than the first, and 99 of 100 than the second.
    half_s: float = 0.0
    most_s: float = 0.0
    # The longest time in which no call succeeded.
    gap_s: float = 0.0

    @property
    def ok(self) -> int:
        return sum(self.answers.values())

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    def __str__(self) -> str:
        codes = "".join(f", {count} {code}" for code, count in sorted(self.failures.items()))
        return (
            f"started {self.started} = ok {self.ok} + failed {self.failed}{codes}; half within "
            f"{1e3 * self.half_s:.1f} ms, 99 % within {1e3 * self.most_s:.1f} ms, all within "
            f"{1e3 * self.slowest_s:.1f} ms; at most {self.gap_s:.3f} s without a success"
        )


class Load:
    """One run of calls, on a channel that others may use too."""

    def __init__(self, channel: grpc.aio.Channel, calls: Calls) -> None:
        self.outcome = Outcome()
        self._calls = calls
        self._method: Any = channel.unary_unary(calls.path)
        self._request = bytes.fromhex(calls.request)
        self._taken_s: list[float] = []
        self._answered_s = 0.0
        self._is_stopped = False

    @property
    def made(self) -> int:
        return self.outcome.ok + self.outcome.failed

    def stop(self) -> None:
        """No further call is started; those under way are waited for."""
        self._is_stopped = True

    async def run(self) -> Outcome:
        calls, outcome = self._calls, self.outcome
        outcome.began_s = self._answered_s = _CLOCK.monotonic_s()
        if calls.per_s:
            await self._at_a_rate()
        else:
            turns = iter(range(calls.count))
            await asyncio.gather(*(self._some(turns) for _ in range(calls.at_once)))
        outcome.ended_s = _CLOCK.monotonic_s()
        outcome.gap_s = max(outcome.gap_s, outcome.ended_s - self._answered_s)
        if taken_s := sorted(self._taken_s):
            outcome.half_s = taken_s[len(taken_s) // 2]
            outcome.most_s = taken_s[len(taken_s) * 99 // 100]
        return outcome

    async def _at_a_rate(self) -> None:
        """Each at its own moment: late ones are caught up with, so none is left out."""
        async with asyncio.TaskGroup() as started:
            for number in range(self._calls.count):
                due_s = self.outcome.began_s + number / self._calls.per_s
                await _CLOCK.sleep(max(0.0, due_s - _CLOCK.monotonic_s()))
                if self._is_stopped:
                    return
                started.create_task(self._one())

    async def _some(self, turns: Iterator[int]) -> None:
        for _ in turns:
            if self._is_stopped:
                return
            await self._one()

    async def _one(self) -> None:
        calls, outcome = self._calls, self.outcome
        outcome.started += 1
        started_s = _CLOCK.monotonic_s()
        try:
            answer = await self._method(
                self._request,
                metadata=tuple(calls.headers.items()),
                timeout=calls.deadline_s,
                wait_for_ready=calls.wait_for_ready,
            )
            outcome.answers[Answer.FromString(answer).text if calls.is_named else "ok"] += 1
            self._succeeded(started_s)
        except grpc.aio.AioRpcError as error:
            outcome.failures[error.code().name] += 1
            outcome.failed_calls.append((started_s, error.code().name))
            outcome.last_failure = str(error.details())
        outcome.slowest_s = max(outcome.slowest_s, _CLOCK.monotonic_s() - started_s)

    def _succeeded(self, started_s: float) -> None:
        now_s = _CLOCK.monotonic_s()
        self.outcome.gap_s = max(self.outcome.gap_s, now_s - self._answered_s)
        self._answered_s = now_s
        self._taken_s.append(now_s - started_s)


@asynccontextmanager
async def channel_to(target: str, *, is_stock: bool = True) -> AsyncIterator[grpc.aio.Channel]:
    """With the token of the environment's fleet, if it has one. One that is not stock has the
    options that the kit and the packages for other languages open theirs with.
    """
    options = () if is_stock else OPTIONS
    plain: Any = experimental
    credentials = grpc.xds_channel_credentials(plain.insecure_channel_credentials())
    async with grpc.aio.secure_channel(target, credentials, options) as channel:
        token = Environment.read().home / FILE_NAME
        yield bearing(channel, Token(token) if token.exists() else None)


def request_of(method: str, text: str) -> tuple[str, str]:
    """The path and the request of `tandem.utility.v1.ToolboxService/MeasureText` and its JSON."""
    service, _, name = method.partition("/")
    module = AgentName.of(service).proto.removesuffix(".proto").replace("/", ".")
    contract = importlib.import_module(f"{module}_pb2").DESCRIPTOR
    found = contract.services_by_name[service.rpartition(".")[2]].methods_by_name[name]
    request = json_format.Parse(text, found.input_type._concrete_class())
    return f"/{service}/{name}", request.SerializeToString().hex()


async def load(target: str, calls: Calls) -> Outcome:
    async with channel_to(target) as channel:
        return await Load(channel, calls).run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", help="such as tandem.utility.v1.ToolboxService/MeasureText")
    parser.add_argument("request", nargs="?", default="{}", help="as JSON")
    parser.add_argument("--target", default="xds:///tandem", help="default %(default)s")
    parser.add_argument("--per-s", type=float, default=100.0, help="default %(default)s")
    parser.add_argument("--seconds", type=float, default=10.0, help="default %(default)s")
    parser.add_argument("--deadline-s", type=float, help="of each call (default: none)")
    parser.add_argument("--wait-for-ready", action="store_true", help="for somebody who serves")
    parser.add_argument("--json", action="store_true")
    said = parser.parse_args()
    path, request = request_of(said.method, said.request)
    calls = Calls(
        path,
        round(said.per_s * said.seconds),
        per_s=said.per_s,
        deadline_s=said.deadline_s,
        wait_for_ready=said.wait_for_ready,
        request=request,
        is_named=False,
    )
    outcome = asyncio.run(load(said.target, calls))
    told = {**vars(outcome), "ok": outcome.ok, "failed": outcome.failed}
    sys.stdout.write(f"{json.dumps(told) if said.json else outcome}\n")


if __name__ == "__main__":
    main()
