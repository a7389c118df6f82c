"""What a host costs in each of the three languages: to start, to be there, and to answer.

Each is started in turn as a supervisor would, announced at one control, with the agent that its
suite has. Two short calls say the same of all: a request that its kit refuses by the contract, and
one that its agent answers; what an agent itself does is not compared, for each does another thing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
from typing import Any

import grpc

from tandemkit.core.clock import SystemClock, stopwatch_s
from tandemkit.supervise.vital_signs import VitalSigns
from tandemkit.testing.parts import short_folder
from tests.contract.runtime.case import Runtime
from tests.contract.runtime.hosted import Fleet, Host, fleet_of
from tests.contract.runtime.test_go import go
from tests.contract.runtime.test_node import node
from tests.contract.runtime.test_python import PYTHON

STARTS, CALLS, AT_ONCE, REST_S = 5, 4000, 16, 20.0
_CLOCK = SystemClock()


async def measured(runtime: Runtime, starts: int, rest_s: float) -> dict[str, object]:
    with short_folder() as folder:
        async with fleet_of(runtime, folder) as fleet:
            # The first start reads all files from the disk.
            host, _took_s = await started(fleet)
            took_s = []
            for _ in range(starts):
                await host.process.stop()
                host, spent_s = await started(fleet)
                took_s.append(spent_s)
            await _CLOCK.sleep(2.0)
            before = signs(host)
            await _CLOCK.sleep(rest_s)
            rested = signs(host)
            refused = await calls(host, runtime.broken.method, runtime.broken.request)
            answered = await calls(host, runtime.good.method, runtime.good.request)
            return {
                "language": runtime.name,
                "start_s": round(statistics.median(took_s), 2),
                "resident_mb": round(before.memory_bytes / 1e6),
                "rest_cpu_percent": round(100 * (rested.cpu_s - before.cpu_s) / rest_s, 2),
                "resident_mb_after_calls": round(signs(host).memory_bytes / 1e6),
                "refused": refused,
                "answered": answered,
            }


async def started(fleet: Fleet) -> tuple[Host, float]:
    """And how long it took until it was in the fleet."""
    began_s = stopwatch_s()
    host = await fleet.start()
    return host, stopwatch_s() - began_s


async def calls(host: Host, name: str, request: Any) -> dict[str, float]:
    """So many at once, one after the other; the second half counts."""
    call = host.unary(name)

    async def some(count: int) -> None:
        for _ in range(count):
            try:
                await call(request)
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, error

    async def all_of(count: int) -> None:
        await asyncio.gather(*(some(count // AT_ONCE) for _ in range(AT_ONCE)))

    await all_of(CALLS)
    before_s, began_s = signs(host).cpu_s, stopwatch_s()
    await all_of(CALLS)
    took_s = stopwatch_s() - began_s
    cpu_us = 1e6 * (signs(host).cpu_s - before_s) / CALLS
    return {"per_s": round(CALLS / took_s), "host_cpu_us": round(cpu_us)}


def signs(host: Host) -> VitalSigns:
    found = VitalSigns.of(host.process.pid)
    assert found is not None
    return found


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=STARTS, help="default %(default)s")
    parser.add_argument("--rest-s", type=float, default=REST_S, help="default %(default)s")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = []
    for runtime in (PYTHON, await node(), await go()):
        found.append(await measured(runtime, asked.starts, asked.rest_s))
        if not asked.json:
            print(", ".join(f"{name} {value}" for name, value in found[-1].items()), flush=True)
    if asked.json:
        print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
