"""What was said, within a budget. Contract: tandem.memory.v1.SessionMemoryService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.memory.session_memory.servicer import SessionMemory
from services.memory.session_memory.sessions import Bounds, Sessions
from services.memory.session_memory.shelf import Shelf
from tandem.memory.config.v1 import session_memory_pb2 as cfg
from tandem.memory.v1 import session_memory_service_pb2 as pb
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope

_HELD_BYTES_MAX = 16 * 1024 * 1024


@asynccontextmanager
async def build(scope: Scope, settings: cfg.SessionMemorySettings) -> AsyncIterator[SessionMemory]:
    shelf = Shelf(await scope.state(), settings.held_bytes_max or _HELD_BYTES_MAX)
    sessions = Sessions(shelf, Bounds.of(settings), scope.clock)
    await sessions.restore()
    scope.spawn("expire", sessions.expire())
    scope.measure(sessions.families)
    yield SessionMemory(shelf, sessions)


AGENT = Agent(contract=pb.DESCRIPTOR, settings=cfg.SessionMemorySettings, build=build)
main = AGENT.main
