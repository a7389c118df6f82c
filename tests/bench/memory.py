"""What the agent of memories does in a second: additions on disk before they are answered, beside
bare transactions of SQLite in the same run; searches under a hundred callers at once; and what
becomes of calls at one and at five times half of what it answers to eight callers. Then a fifth of
the calls is interactive, and two fifths each are standard and batch.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_orchestrator_service_pb2_grpc as rpc
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.core.environment import Environment
from tandemkit.rpc.channel import OPTIONS
from tandemkit.rpc.priority import Priority
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.parts import free_ports, short_folder
from tests.bench import _memory_host
from tests.bench._usage import proportional_mb
from tests.cluster.eventually import eventually
from tests.cluster.laden import DEADLINE_S, SHARE

_PATIENT_S = 5.0
_DRAW = random.Random(20261122)
_SUBJECTS = [f"person-{number}" for number in range(200)]
_VERBS = ("likes", "owns", "visited", "repaired", "sold", "remembers", "avoids", "painted")
_THINGS = (
    "the blue boat",
    "an old clock",
    "the heron mill",
    "a red lever",
    "the north tower",
    "a brass key",
    "a stone bridge",
    "the night train",
    "a paper map",
    "an iron gate",
)
_PLACES = ("harbour", "village", "valley", "station", "market", "forest", "island", "library")


def told() -> str:
    """Something to remember, or to ask for."""
    return (
        f"{_DRAW.choice(_SUBJECTS)} {_DRAW.choice(_VERBS)} {_DRAW.choice(_THINGS)} at the "
        f"{_DRAW.choice(_PLACES)} in the year {_DRAW.randrange(1800, 2026)}"
    )


@dataclass
class Took:
    """Of calls: what each that was answered took, and the codes of those that were not."""

    each_s: list[float] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    within_s: float = 0.0

    @property
    def row(self) -> dict[str, object]:
        each = sorted(self.each_s) or [0.0]
        shed = self.codes.get(grpc.StatusCode.RESOURCE_EXHAUSTED.name, 0)
        failed = self.codes.total() - shed
        return {
            "ok": len(self.each_s),
            "shed": shed,
            "failed": failed,
            "failed_percent": round(100 * failed / max(1, failed + len(self.each_s)), 3),
            "per_s": round(len(self.each_s) / max(self.within_s, 1e-9), 1),
            "p50_ms": round(1e3 * each[len(each) // 2], 1),
            "p99_ms": round(1e3 * each[len(each) * 99 // 100], 1),
        }

    async def call(self, make: Callable[[], Awaitable[object]]) -> None:
        began_s = time.perf_counter()
        try:
            await make()
        except grpc.aio.AioRpcError as error:
            self.codes[error.code().name] += 1
        else:
            self.each_s.append(time.perf_counter() - began_s)


async def at_once(callers: int, for_s: float, make: Callable[[], Awaitable[object]]) -> Took:
    """Each waits for its answer and calls again, until the time is over."""
    took, began_s = Took(), time.perf_counter()

    async def one() -> None:
        while time.perf_counter() - began_s < for_s:
            await took.call(make)

    await asyncio.gather(*(one() for _ in range(callers)))
    took.within_s = time.perf_counter() - began_s
    return took


async def at_a_rate(
    per_s: float, for_s: float, make: Callable[[Priority], Awaitable[object]]
) -> dict[Priority, Took]:
    """Each at its own moment, whatever became of those before."""
    took = {one: Took() for one in SHARE}
    began_s = time.perf_counter()
    drawn = _DRAW.choices(list(SHARE), list(SHARE.values()), k=round(per_s * for_s))
    async with asyncio.TaskGroup() as started:
        for number, priority in enumerate(drawn):
            await asyncio.sleep(max(0.0, began_s + number / per_s - time.perf_counter()))
            started.create_task(took[priority].call(partial(make, priority)))
    for one in took.values():
        one.within_s = time.perf_counter() - began_s
    return took


class Memories:
    """The agent, in a process of its own."""

    def __init__(self, stub: Any, pid: int) -> None:
        self._stub, self.pid = stub, pid
        # Searches that were answered by words alone.
        self.words_alone = 0

    async def add(self) -> None:
        request = pb.AddMemoryRequest(memory=nouns.Memory(text=told()))
        await self._stub.AddMemory(request, timeout=10)

    async def search(self, priority: Priority | None = None) -> None:
        """Of a class with the patience of its callers, or of whoever waits for all."""
        request = pb.SearchMemoriesRequest(query=told(), limit=10)
        said = priority or Priority.INTERACTIVE
        deadline_s = DEADLINE_S[priority] if priority else _PATIENT_S
        found = await self._stub.SearchMemories(
            request, timeout=deadline_s, metadata=(said.header,)
        )
        self.words_alone += bool(found.degraded)

    async def fill(self, count: int) -> None:
        for _ in range(0, count, 50):
            await asyncio.gather(*(self.add() for _ in range(50)))

    async def until_embedded(self) -> float:
        """How long that took."""
        began_s = time.perf_counter()
        request = pb.SearchMemoriesRequest(query="boat", limit=1)

        async def pending() -> int:
            told: pb.SearchMemoriesResponse
            told = await self._stub.SearchMemories(request, timeout=30)
            return told.pending

        await eventually(pending, lambda left: not left, within_s=600)
        return time.perf_counter() - began_s


@asynccontextmanager
async def memories(folder: Path, *options: str) -> AsyncIterator[Memories]:
    (port,) = free_ports(1)
    address, log = f"127.0.0.1:{port}", folder / "log"
    where = ("--listen", address, "--state", str(folder / "state"), "--open")
    argv = (sys.executable, "-m", _memory_host.__name__, *options, *where)
    # The model lies in the user's cache.
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), **_user()}

    async def serves() -> None:
        assert "host.serving" in log.read_text()

    command = Command(argv, log, env=environment)
    async with (
        supervised_process(command, ready=serves) as process,
        grpc.aio.insecure_channel(address, OPTIONS) as channel,
    ):
        yield Memories(rpc.MemoryOrchestratorServiceStub(channel), process.pid)


def _user() -> dict[str, str]:
    known = Environment.read().variables
    return {name: known[name] for name in ("HOME", "XDG_CACHE_HOME") if name in known}


def bare_per_s(folder: Path, for_s: float) -> float:
    """Transactions of one row that are on disk, by one writer."""
    with closing(sqlite3.connect(folder / "bare.sqlite", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE told (id INTEGER PRIMARY KEY, text TEXT)")
        count, began_s = 0, time.perf_counter()
        while time.perf_counter() - began_s < for_s:
            connection.execute("INSERT INTO told (text) VALUES (?)", (told(),))
            count += 1
        return count / (time.perf_counter() - began_s)


async def rows(said: argparse.Namespace) -> AsyncIterator[dict[str, object]]:
    with short_folder() as folder:
        bare = round(bare_per_s(folder, said.seconds / 2), 1)
        yield {"what": "bare transactions", "writers": 1, "per_s": bare}
        async with memories(folder, _memory_host.WORDS_ALONE) as agent:
            for callers in (1, 32):
                took = await at_once(callers, said.seconds, agent.add)
                yield {"what": "additions", "writers": callers, **took.row}
    for how, options in (("words", (_memory_host.WORDS_ALONE,)), ("words and meaning", ())):
        with short_folder() as folder:
            async with memories(folder, *options) as agent:
                await agent.fill(said.memories)
                if not options:
                    waited_s = await agent.until_embedded()
                    per_s = round(said.memories / waited_s, 1)
                    yield {"what": "embedded behind the write", "per_s": per_s}
                async for row in _searched(agent, how, said):
                    yield row


async def _searched(
    agent: Memories, how: str, said: argparse.Namespace
) -> AsyncIterator[dict[str, object]]:
    common = {"how": how, "memories": said.memories}
    for callers in (1, 100):
        agent.words_alone = 0
        took = await at_once(callers, said.seconds, agent.search)
        row = {"what": "searches", "callers": callers, **common, **took.row}
        yield {**row, "by_words_alone": agent.words_alone}
    normal = (await at_once(8, said.seconds, agent.search)).row["per_s"]
    assert isinstance(normal, float)
    for times in (1, 5):
        found = await at_a_rate(normal / 2 * times, said.seconds, agent.search)
        load = {"what": "load", "times": times, "asked_per_s": round(normal / 2 * times)}
        for priority, took in found.items():
            yield {**load, "class": priority.word, **common, **took.row}
    yield {"what": "memory", **common, "pss_mb": round(proportional_mb(agent.pid), 1)}


def _lines(row: dict[str, object]) -> Iterator[str]:
    yield ", ".join(f"{name} {value}" for name, value in row.items())


async def _main(said: argparse.Namespace) -> None:
    async for row in rows(said):
        lines = [json.dumps(row)] if said.json else _lines(row)
        for line in lines:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--seconds", type=float, default=8.0, help="each; default %(default)s")
    parser.add_argument("--memories", type=int, default=2000, help="default %(default)s")
    asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
