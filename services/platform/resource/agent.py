"""Who has how much of this machine. Contract: tandem.platform.v1.ResourceService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from services.platform.resource.capacity import MILLI, Capacity, unplanned
from services.platform.resource.grants import Grants
from services.platform.resource.servicer import Resources
from tandem.platform.config.v1 import resource_pb2 as cfg
from tandem.platform.v1 import resource_service_pb2 as pb
from tandemkit.core.environment import Environment
from tandemkit.core.errors import Failure
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.sqlite import sqlite_state
from tandemkit.telemetry import machine
from tandemkit.telemetry.gpus import board
from tandemkit.written.marked import Reader
from tandemkit.written.pools import pools_of

_FILE = "deploy/fleet/layout/pools.yaml"
_MIB = 1024 * 1024


class PoolsRefused(Failure):
    """The pools cannot be used, so nothing can be granted; the message says where they are
    wrong.
    """


@asynccontextmanager
async def build(scope: Scope, settings: cfg.ResourceSettings) -> AsyncIterator[Resources]:
    capacity = _capacity(settings)
    with ExitStack() as stack:
        gpus = await asyncio.to_thread(stack.enter_context, board())
        # What this machine has is nobody else's business: not in the fleet's common store.
        async with sqlite_state(scope.state_dir / "grants.sqlite") as store:
            grants = Grants(capacity, State(store), scope.clock)
            stack.callback(grants.close)
            await grants.restore()
            scope.ready_when(lambda: store.get("probe"))
            scope.spawn("expire", grants.expire())
            yield Resources(grants, gpus)


def _capacity(settings: cfg.ResourceSettings) -> Capacity:
    """Raises PoolsRefused with every mistake of the file."""
    root = Environment.read().root
    if not settings.pools_file and root is None:
        raise PoolsRefused("a packaged agent has no checkout: set `pools_file` in its settings")
    path = Path(settings.pools_file) if settings.pools_file or root is None else root / _FILE
    reader = Reader(str(path))
    try:
        pools = pools_of(reader, path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PoolsRefused("the pools cannot be read", path=path) from error
    if reader.mistakes:
        raise PoolsRefused("the pools are wrong", mistakes="; ".join(map(str, reader.mistakes)))
    memory_mib = machine.memory().limit_bytes // _MIB
    by_kind = {kind: entry.fields for kind, entry in pools.items()}
    cores_milli = round(machine.cores().usable * MILLI)
    return unplanned(by_kind, settings.memory_scale, memory_mib, cores_milli)


AGENT = Agent(contract=pb.DESCRIPTOR, settings=cfg.ResourceSettings, build=build)
main = AGENT.main
