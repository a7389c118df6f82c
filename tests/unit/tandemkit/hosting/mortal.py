"""An agent that fails when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.testing import probe
from tests.unit.tandemkit.rpc.probed import Probe

# Longer than all waits between restarts.
BACK_S = 10.0


class Mortal:
    """An agent with a background task that the test makes fail, and a servicer for each life."""

    def __init__(self) -> None:
        self.servicers: list[Probe] = []
        self.diary: list[str] = []
        self.prepare: Callable[[Scope], Awaitable[object]] | None = None
        self._failing: asyncio.Future[None] | None = None

    @property
    def agent(self) -> Agent:
        @asynccontextmanager
        async def build(scope: Scope, _settings: None) -> AsyncIterator[Probe]:
            self.diary.append("built")
            if self.prepare is not None:
                await self.prepare(scope)
            self._failing = asyncio.get_running_loop().create_future()
            scope.spawn("pulse", self._pulse(self._failing))
            self.servicers.append(Probe())
            yield self.servicers[-1]
            self.diary.append("closed")

        return Agent(contract=probe.DESCRIPTOR, build=build)

    def fail(self) -> None:
        assert self._failing is not None
        self._failing.set_exception(OSError("the pulse stopped"))

    async def _pulse(self, failing: asyncio.Future[None]) -> None:
        await failing
