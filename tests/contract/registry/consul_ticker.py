"""A control as a process for `test_consul_clock`: holds a lease and leads, lets another lease run
out, and says at each look what it sees.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import aclosing

from tandemkit.core.clock import SystemClock
from tandemkit.reach.failure import Unreachable
from tandemkit.registry.consul import ConsulRegistry, ConsulSettings, consul_registry
from tandemkit.registry.protocol import Leadership, LeadershipLost, Lease, LeaseLost, Snapshot

# Long enough for a busy machine to renew in.
TTL_S = 4.0
_LOOK_AGAIN_S = 0.1
_CLOCK = SystemClock()


async def tick(url: str) -> None:
    async with consul_registry(ConsulSettings(url=url)) as registry:
        renewed, leader = await begun(registry)
        while True:
            try:
                await registry.renew(renewed)
                await registry.keep(leader)
                say(await keys(registry), "")
            except (LeaseLost, LeadershipLost, Unreachable) as error:
                # Its time limits are up at once when its clock leaps; it only asks again.
                say([], type(error).__name__)
            await _CLOCK.sleep(_LOOK_AGAIN_S)


async def begun(registry: ConsulRegistry) -> tuple[Lease, Leadership]:
    """Its clock may leap from the start, so it asks until it has what it looks after."""
    while True:
        try:
            renewed = await registry.open_lease("renewed", TTL_S)
            await registry.register(renewed, "renewed", b"")
            await registry.register(await registry.open_lease("left", TTL_S), "left", b"")
            leader = await registry.elect("planner", "ticker", TTL_S)
        except (LeaseLost, Unreachable) as error:
            say([], type(error).__name__)
            await _CLOCK.sleep(_LOOK_AGAIN_S)
        else:
            assert leader
            return renewed, leader


async def keys(registry: ConsulRegistry) -> list[str]:
    async with aclosing(registry.watch()) as events:
        snapshot = await anext(events)
    assert isinstance(snapshot, Snapshot)
    return sorted(entry.key for entry in snapshot.entries)


def say(found: list[str], failure: str) -> None:
    seen = {
        "wall_s": _CLOCK.now().timestamp(),
        "monotonic_s": _CLOCK.monotonic_s(),
        "keys": found,
        "failure": failure,
    }
    sys.stdout.write(json.dumps(seen) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(tick(sys.argv[1]))
