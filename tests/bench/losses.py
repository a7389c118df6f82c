"""What callers lose while a control or a host dies under 200 calls a second.

A stock client without retries of its own starts one call after the other at that rate; all parts
are processes of their own. What may be done twice is tried once more by its route, and by nobody
else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tandemkit.core.clock import SystemClock
from tandemkit.testing.parts import short_folder
from tests.cluster.controlled import Controlled, controlled
from tests.cluster.load import Outcome

RATE, CALLS = 200, 6000
DEAD_S = 10.0
# What may be done twice, and what may not.
TWICE, ONCE = "Alpha/Ask", "Alpha/Add"
_CLOCK = SystemClock()

Loss = Callable[[Controlled], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Scene:
    """A loss in the midst of calls of one method. `lose` returns when it had happened."""

    name: str
    method: str
    lose: Loss


async def _killed_control(fleet: Controlled) -> float:
    await fleet.kill("control")
    lost_s = _CLOCK.monotonic_s()
    await _CLOCK.sleep(DEAD_S)
    await fleet.start_control()
    return lost_s


async def _frozen_control(fleet: Controlled) -> float:
    fleet.send("control", signal.SIGSTOP)
    lost_s = _CLOCK.monotonic_s()
    await _CLOCK.sleep(DEAD_S)
    fleet.send("control", signal.SIGCONT)
    return lost_s


async def _killed_controls(fleet: Controlled) -> float:
    await fleet.kill("second")
    await fleet.kill("control")
    lost_s = _CLOCK.monotonic_s()
    await _CLOCK.sleep(DEAD_S)
    await fleet.start_control()
    await fleet.start_second()
    return lost_s


async def _killed_host(fleet: Controlled) -> float:
    await fleet.kill("a")
    return _CLOCK.monotonic_s()


SCENES = (
    Scene("kill -9 of control, back after 10 s", ONCE, _killed_control),
    Scene("SIGSTOP of control for 10 s", ONCE, _frozen_control),
    Scene("kill -9 of both controls, back after 10 s", ONCE, _killed_controls),
    Scene("kill -9 of one of two hosts, may be done twice", TWICE, _killed_host),
    Scene("kill -9 of one of two hosts, may be done once", ONCE, _killed_host),
)


async def played(scene: Scene, calls: int) -> dict[str, object]:
    """The scene with a fleet of its own: two controls, two hosts, one client."""
    with short_folder() as folder:
        async with controlled(folder) as fleet:
            await fleet.start_second()
            await asyncio.gather(fleet.start_host("a"), fleet.start_host("b"))
            await fleet.until_serving("a", "b")
            client = await fleet.client()
            await client.until_only(scene.method, "a", "b")

            async def lose() -> float:
                await _CLOCK.sleep(calls / RATE / 4)
                return await scene.lose(fleet)

            outcome, lost_s = await asyncio.gather(
                client.run(scene.method, calls, per_s=RATE), lose()
            )
    return _figures(scene, outcome, lost_s)


def _figures(scene: Scene, outcome: Outcome, lost_s: float) -> dict[str, object]:
    return {
        "scene": scene.name,
        "method": scene.method,
        "started": outcome.started,
        "ok": outcome.ok,
        "failed": outcome.failed,
        "adds_up": outcome.started == outcome.ok + outcome.failed,
        "failed_begun_after_loss": sum(begun_s > lost_s for begun_s, _ in outcome.failed_calls),
        "lost_at_s": round(lost_s - outcome.began_s, 2),
        "lasted_s": round(outcome.ended_s - outcome.began_s, 2),
        "slowest_s": round(outcome.slowest_s, 3),
        "gap_s": round(outcome.gap_s, 3),
        "codes": outcome.failures,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS, help="calls a scene (default 6000)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    said = parser.parse_args()
    for scene in SCENES:
        found = asyncio.run(played(scene, said.calls))
        if said.json:
            line = json.dumps({"bench": "losses", **found})
        else:
            line = (
                f"{found['scene']} ({found['method']}): started {found['started']} = "
                f"ok {found['ok']} + failed {found['failed']} "
                f"({found['failed_begun_after_loss']} of them begun after it); "
                f"lost at {found['lost_at_s']} s of {found['lasted_s']} s, "
                f"slowest call {found['slowest_s']} s"
            )
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
