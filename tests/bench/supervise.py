"""What it costs to start something under a supervisor, against starting it bare.

A start is over when the task has had its first turn, the thread has run, or the process has been
executed. Bare and supervised starts go by turns; ends are not measured. The supervisor has a
hundred other children, looks at all of them, and logs as a host does, to nowhere.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from tandemkit.core import log
from tandemkit.core.clock import stopwatch_s
from tandemkit.supervise.children import Child, task
from tandemkit.supervise.policy import Policy
from tandemkit.supervise.processes import Command, process
from tandemkit.supervise.reports import Asked
from tandemkit.supervise.supervisor import Supervisor, supervising
from tandemkit.supervise.threads import ThreadLife, thread

NEIGHBOURS = 100
ASKED = Asked("bench")
SLEEP = ("sleep", "1000")

End = Callable[[], Awaitable[object]]
Start = Callable[[], Awaitable[End]]


@dataclass(frozen=True, slots=True)
class Pair:
    """The same thing started in two ways."""

    name: str
    bare: Start
    supervised: Start


async def _forever() -> None:
    await asyncio.Event().wait()


def _until_stopped(life: ThreadLife) -> None:
    life.ready()
    life.stopping.wait()


async def _bare_task() -> End:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await _forever()

    started = asyncio.get_running_loop().create_task(work())
    await begun.wait()

    async def end() -> None:
        started.cancel()
        await asyncio.wait([started])

    return end


async def _bare_thread() -> End:
    loop, begun, stopping = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        stopping.wait()

    started = threading.Thread(target=work, daemon=True)
    started.start()
    await begun.wait()

    async def end() -> None:
        stopping.set()
        started.join()

    return end


async def _bare_process() -> End:
    started = await asyncio.create_subprocess_exec(
        *SLEEP,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )

    async def end() -> None:
        started.kill()
        await started.wait()

    return end


def _under(top: Supervisor, child: Child) -> Start:
    async def start() -> End:
        await top.add(child, ASKED)

        async def end() -> None:
            await top.remove(child.name, ASKED)

        return end

    return start


@asynccontextmanager
async def pairs(folder: Path) -> AsyncIterator[tuple[Pair, ...]]:
    neighbours = [task(f"n{number}", _forever) for number in range(NEIGHBOURS)]
    sleep = Command(SLEEP, folder / "log")
    neighbours.append(process("sleeper", sleep))
    async with supervising(Supervisor("top", neighbours, Policy(together=NEIGHBOURS))) as top:
        await top.until_up()
        yield (
            Pair("task", _bare_task, _under(top, task("task", _forever))),
            Pair("thread", _bare_thread, _under(top, thread("thread", _until_stopped))),
            Pair("process", _bare_process, _under(top, process("process", sleep))),
        )


async def timed(start: Start) -> tuple[float, float]:
    """Milliseconds of wall and of our own CPU time until it runs."""
    began_s, cpu_s = stopwatch_s(), time.process_time()
    end = await start()
    took = (stopwatch_s() - began_s) * 1e3, (time.process_time() - cpu_s) * 1e3
    await end()
    return took


async def compare(starts: int) -> list[dict[str, object]]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        async with pairs(Path(folder)) as both:
            for pair in both:
                took = [
                    (await timed(pair.bare), await timed(pair.supervised)) for _ in range(starts)
                ]
                found.append(_figures(pair.name, took))
    return found


def _figures(
    name: str, took: list[tuple[tuple[float, float], tuple[float, float]]]
) -> dict[str, object]:
    bare, kept = [one[0][0] for one in took], [one[1][0] for one in took]
    more = sorted(after - before for before, after in zip(bare, kept, strict=True))
    cpu = [one[1][1] - one[0][1] for one in took]
    return {
        "started": name,
        "starts": len(took),
        "bare_ms": round(statistics.median(bare), 3),
        "supervised_ms": round(statistics.median(kept), 3),
        "more_ms": round(statistics.median(more), 3),
        "more_ms_p90": round(more[int(len(more) * 0.9)], 3),
        "more_cpu_ms": round(statistics.median(cpu), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=200, help="of each (default 200)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    said = parser.parse_args()
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        log.write_to(nowhere)
        results = uvloop.run(compare(said.starts))
    for found in results:
        if said.json:
            line = json.dumps({"bench": "supervise", **found})
        else:
            line = (
                f"{found['started']}: bare {found['bare_ms']} ms, supervised "
                f"{found['supervised_ms']} ms; more by {found['more_ms']} ms "
                f"(p90 {found['more_ms_p90']}), {found['more_cpu_ms']} ms of it our CPU"
            )
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
