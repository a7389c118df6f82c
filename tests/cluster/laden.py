"""Calls of all classes at a rate to a server that has to work for each, and what became of them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import grpc

from tandemkit.rpc.channel import OPTIONS
from tandemkit.rpc.priority import Priority
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.testing import probe
from tests.cluster import laden_host
from tests.cluster.load import Calls, Load, Outcome

PATH = probe.path("Echo")
# How long callers of a class wait for an answer, and their share of the calls.
DEADLINE_S = {Priority.INTERACTIVE: 1.0, Priority.STANDARD: 2.0, Priority.BATCH: 5.0}
SHARE = {Priority.INTERACTIVE: 0.2, Priority.STANDARD: 0.4, Priority.BATCH: 0.4}
SHED = grpc.StatusCode.RESOURCE_EXHAUSTED.name


@dataclass(frozen=True, slots=True)
class Laden:
    """The server's process, and a channel to it."""

    process: Process
    channel: grpc.aio.Channel
    work_ms: float

    async def capacity_per_s(self, for_calls: int = 400) -> float:
        """What it answers in a second where eight callers each wait for the answer."""
        outcome = await Load(self.channel, self._calls(for_calls, at_once=8)).run()
        return outcome.ok / (outcome.ended_s - outcome.began_s)

    async def called(
        self, per_s: float, for_s: float, patience: Mapping[Priority, float] = DEADLINE_S
    ) -> Mapping[Priority, Outcome]:
        """Calls at a rate, whatever becomes of those before: what became of each class, whose
        callers have so much `patience`.
        """
        loads = {
            one: Load(
                self.channel,
                replace(
                    self._calls(round(per_s * share * for_s), one, per_s=per_s * share),
                    deadline_s=patience[one],
                ),
            )
            for one, share in SHARE.items()
        }
        outcomes = await asyncio.gather(*(load.run() for load in loads.values()))
        return dict(zip(loads, outcomes, strict=True))

    def _calls(
        self,
        count: int,
        priority: Priority = Priority.STANDARD,
        *,
        per_s: float = 0.0,
        at_once: int = 0,
    ) -> Calls:
        return Calls(
            PATH,
            count,
            at_once,
            per_s,
            headers=dict([priority.header]),
            deadline_s=DEADLINE_S[priority],
            request=probe.ProbeRequest(text=str(self.work_ms)).SerializeToString().hex(),
            is_named=False,
        )


@asynccontextmanager
async def laden(folder: Path, work_ms: float, *arguments: str) -> AsyncIterator[Laden]:
    said = folder / "port"
    argv = (sys.executable, "-m", laden_host.__name__, *arguments)
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}

    async def is_ready() -> None:
        assert said.read_text().endswith("\n")

    command = Command(argv, said, env=environment)
    async with supervised_process(command, ready=is_ready) as process:
        port = said.read_text().split()[-1]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", OPTIONS) as channel:
            yield Laden(process, channel, work_ms)
