"""A process for `test_embedded_kill`: writes as fast as it can, and says each thing it was told.

It ends by being killed.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tandemkit.core.clock import SystemClock
from tandemkit.registry.embedded import embedded_registry
from tandemkit.registry.protocol import Snapshot


async def write(folder: Path) -> None:
    async with embedded_registry(folder, SystemClock()) as registry:
        lease = await registry.open_lease("host-a", 600.0)
        while True:
            leader = await registry.elect("planner", "control-a", 600.0)
            assert leader
            version = await registry.put("policy", b"%d" % leader.token, leadership=leader)
            await registry.register(lease, "agents/one", b"%d" % leader.token)
            watch = registry.watch()
            snapshot = await anext(watch)
            assert isinstance(snapshot, Snapshot)
            await watch.aclose()
            sys.stdout.write(f"{leader.token} {version} {snapshot.revision} {lease.id}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1])))
