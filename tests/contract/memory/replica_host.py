"""A replica of what remembers, as a process: to be killed. It is told its folder and its store."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from google.protobuf import json_format

from services.memory.memory_orchestrator.agent import AGENT
from tandem.fleet.v1.state_pb2 import StateStore
from tandem.memory.config.v1 import memory_orchestrator_pb2 as cfg
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.host import Place, Placed, hosting


async def serve(folder: Path, store: StateStore) -> None:
    place = Place(f"unix:{folder}/sock", folder / "state", SystemClock(), 0.0, store=store)
    async with hosting([Placed(AGENT, cfg.MemoryOrchestratorSettings())], place):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), json_format.Parse(sys.argv[2], StateStore())))
