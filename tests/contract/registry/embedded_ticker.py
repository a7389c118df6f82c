"""A process for `test_embedded_clock`: holds one lease and lets another one run out, and says at
each look what it sees.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tandemkit.core.clock import SystemClock
from tandemkit.registry.embedded import embedded_registry
from tandemkit.registry.protocol import Snapshot

TTL_S = 2.0
_LOOK_AGAIN_S = 0.1


async def tick(folder: Path) -> None:
    clock = SystemClock()
    async with embedded_registry(folder, clock) as registry:
        renewed = await registry.open_lease("renewed", TTL_S)
        await registry.register(renewed, "renewed", b"")
        began_s = clock.monotonic_s()
        await registry.register(await registry.open_lease("left", TTL_S), "left", b"")
        while True:
            await registry.renew(renewed)
            watch = registry.watch()
            snapshot = await anext(watch)
            await watch.aclose()
            assert isinstance(snapshot, Snapshot)
            seen = {
                "wall_s": clock.now().timestamp(),
                "elapsed_s": clock.monotonic_s() - began_s,
                "keys": sorted(entry.key for entry in snapshot.entries),
            }
            sys.stdout.write(json.dumps(seen) + "\n")
            sys.stdout.flush()
            await clock.sleep(_LOOK_AGAIN_S)


if __name__ == "__main__":
    asyncio.run(tick(Path(sys.argv[1])))
