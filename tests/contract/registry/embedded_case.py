"""The embedded registry as a case of the suite: its time passes only when the suite lets it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

from tandemkit.registry.embedded import EmbeddedRegistry, embedded_registry
from tandemkit.registry.protocol import Registry
from tandemkit.testing.clock import FakeClock


class JumpingClock(FakeClock):
    """Its wall time jumps back and forth by an hour whenever somebody looks."""

    def __init__(self) -> None:
        super().__init__()
        self._jump = timedelta(hours=1)

    def now(self) -> datetime:
        self._jump = -self._jump
        return super().now() + self._jump


class PassingClock(JumpingClock):
    """Time passes by being waited for; the registry itself sleeps on `held`."""

    def __init__(self, held: FakeClock) -> None:
        super().__init__()
        self._held = held

    def monotonic_s(self) -> float:
        return self._held.monotonic_s()

    async def sleep(self, duration_s: float) -> None:
        await self._held.advance(duration_s)


class EmbeddedCase:
    """A kill leaves what a copy of the files at that moment holds, and nothing else."""

    ttl_s = 3.0
    late_s = 0.0

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._kills = 0
        self._registry: EmbeddedRegistry | None = None
        self.registry_clock = JumpingClock()
        self.clock = PassingClock(self.registry_clock)

    @property
    def folder(self) -> Path:
        """Where the registry of now has its files."""
        return self._folder / str(self._kills)

    async def open(self) -> Registry:
        if self._registry is None:
            self.folder.mkdir(exist_ok=True)
            opened = embedded_registry(self.folder, self.registry_clock)
            self._registry = await self._stack.enter_async_context(opened)
        return self._registry

    async def kill_and_restart(self) -> None:
        killed = self.folder
        self._kills += 1
        shutil.copytree(killed, self.folder)
        self._registry = None


@asynccontextmanager
async def embedded_case(folder: Path) -> AsyncIterator[EmbeddedCase]:
    async with AsyncExitStack() as stack:
        yield EmbeddedCase(folder, stack)
