"""Files below one root, with trash and undo. Contract: tandem.utility.v1.FilesService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from services.utility.files.limits import Limits
from services.utility.files.servicer import Files
from services.utility.files.store import Store, opened
from tandem.utility.config.v1 import files_pb2 as cfg
from tandem.utility.v1 import files_service_pb2 as pb
from tandemkit.core.clock import Clock
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope


@asynccontextmanager
async def build(scope: Scope, settings: cfg.FilesSettings) -> AsyncIterator[Files]:
    root = Path(settings.root) if settings.root else _own_root(scope.state_dir)
    stack = ExitStack()
    try:
        opening = opened(root, scope.state_dir / "journal.sqlite", Limits.of(settings))
        store = await asyncio.to_thread(stack.enter_context, opening)

        async def check() -> None:
            await asyncio.to_thread(store.check)

        scope.ready_when(check)
        scope.spawn("sweep", _sweep(store, scope.clock))
        yield Files(store, scope.clock)
    finally:
        # It waits for a purge in hand, which may be long: not on the event loop.
        await asyncio.to_thread(stack.close)


async def _sweep(store: Store, clock: Clock) -> None:
    while True:
        await clock.sleep(store.limits.sweep_interval.total_seconds())
        await asyncio.to_thread(store.sweep, clock.now())


def _own_root(state_dir: Path) -> Path:
    root = state_dir / "files"
    root.mkdir(mode=0o700, exist_ok=True)
    return root


AGENT = Agent(contract=pb.DESCRIPTOR, settings=cfg.FilesSettings, build=build)
main = AGENT.main
