"""A machine's supervisor whose hosts are real processes that really hold memory."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tandem.control.v1 import machine_pb2 as control
from tandem.control.v1 import machine_service_pb2 as pb
from tandem.fleet.v1.plan_pb2 import Plan
from tandemkit.hosting.agent import Agent
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.testing.agents import fake_agent
from tests.unit.services.platform.resource import hog, machines

_HOLDS_MIB = {"base": 1, "vital": 40, "light": 40}


class Hogs:
    """Suspending an agent ends its host's process, and its memory is the kernel's again."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.commands: list[tuple[int, str]] = []
        self._plan, self._folder = plan, folder
        self._running: dict[str, tuple[AsyncExitStack, Process]] = {}
        self._suspended: set[str] = set()
        self._changed = asyncio.Event()
        self._starts = 0

    @property
    def agent(self) -> Agent:
        """Stands in for the supervisor, behind its contract."""
        return fake_agent(
            pb.DESCRIPTOR,
            GetMachine=self._get,
            WatchMachine=self._watch,
            RunCommand=self._run,
        )

    def signal(self, host: str, number: signal.Signals) -> None:
        """SIGUSR1: it takes as much again; SIGUSR2: it gives that back."""
        os.kill(self._running[host][1].pid, number)

    @property
    def running(self) -> set[str]:
        return set(self._running)

    async def start(self, host: str) -> None:
        self._starts += 1
        stack, log = AsyncExitStack(), self._folder / f"{host}-{self._starts}.log"
        argv = (sys.executable, hog.__file__, str(_HOLDS_MIB[host]))

        async def ready() -> None:
            if not _says_ready(log):
                raise ConnectionError

        process = await stack.enter_async_context(
            supervised_process(Command(argv, log), ready=ready)
        )
        self._running[host] = (stack, process)

    async def end(self, host: str) -> None:
        stack, _ = self._running.pop(host)
        await stack.aclose()

    async def _get(self, _request: pb.GetMachineRequest, _context: Any) -> pb.GetMachineResponse:
        return pb.GetMachineResponse(machine=self._told(), plan=self._plan)

    async def _watch(
        self, _request: pb.WatchMachineRequest, _context: Any
    ) -> AsyncIterator[pb.WatchMachineResponse]:
        while True:
            self._changed.clear()
            yield pb.WatchMachineResponse(machine=self._told())
            await self._changed.wait()

    async def _run(self, request: pb.RunCommandRequest, _context: Any) -> pb.RunCommandResponse:
        self.commands.append((request.verb, request.target))
        host = machines.AGENTS[request.target][0]
        if request.verb == control.VERB_SUSPEND:
            self._suspended.add(request.target)
            await self.end(host)
        else:
            self._suspended.discard(request.target)
            await self.start(host)
        self._changed.set()
        return pb.RunCommandResponse(hosts=[host], agents=[request.target])

    def _told(self) -> control.Machine:
        pids = {host: process.pid for host, (_, process) in self._running.items()}
        told = machines.told(self._suspended, pids)
        for host in told.hosts:
            host.pid = pids.get(host.host, 0)
        return told


@asynccontextmanager
async def hogs(plan: Plan, folder: Path) -> AsyncIterator[Hogs]:
    """All of its hosts run, each with 40 MiB or, of what all stand on, with 1."""
    found = Hogs(plan, folder)
    try:
        for host in _HOLDS_MIB:
            await found.start(host)
        yield found
    finally:
        for host in found.running:
            await found.end(host)


def _says_ready(log: Path) -> bool:
    return "ready" in log.read_text("utf-8")
