"""Small exact tools in one service. Contract: tandem.utility.v1.ToolboxService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.utility.toolbox.limits import Limits
from services.utility.toolbox.quantity.units import Units
from services.utility.toolbox.servicer import ToolboxServicer
from tandem.utility.config.v1 import toolbox_pb2 as cfg
from tandem.utility.v1 import toolbox_service_pb2 as pb
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope


@asynccontextmanager
async def build(_scope: Scope, settings: cfg.ToolboxSettings) -> AsyncIterator[ToolboxServicer]:
    """Reads the unit definitions off the event loop: they take about half a second."""
    units = await asyncio.to_thread(Units)
    yield ToolboxServicer(Limits.of(settings), units)


AGENT = Agent(contract=pb.DESCRIPTOR, settings=cfg.ToolboxSettings, build=build)
main = AGENT.main
