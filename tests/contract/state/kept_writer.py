"""A host for `test_hosted`: its agent writes its state as fast as it can, and says each write that
it was told of. It ends by being killed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tandem.control.v1 import registration_pb2 as nouns
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.hosting.scope import Scope
from tandemkit.storage.state.owned import State
from tandemkit.testing import probe
from tests.unit.tandemkit.rpc.probed import Probe

WRITERS = 4


async def _write(state: State, writer: int) -> None:
    key = f"writers/{writer}"
    while True:
        host = await state.change(key, nouns.Host, _count)
        sys.stdout.write(f"{writer} {host.port}\n")
        sys.stdout.flush()


def _count(host: nouns.Host) -> None:
    host.port += 1


@asynccontextmanager
async def build(scope: Scope, _settings: None) -> AsyncIterator[Probe]:
    state = await scope.state()
    for writer in range(WRITERS):
        scope.spawn(f"writer:{writer}", _write(state, writer))
    yield Probe()


AGENT = Agent(contract=probe.DESCRIPTOR, build=build)


async def serve(folder: Path) -> None:
    place = Place(f"unix:{folder}/sock", folder, SystemClock(), 0.0)
    async with hosting([Placed(AGENT, None)], place):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
