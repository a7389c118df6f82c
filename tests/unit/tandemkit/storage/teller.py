"""A process that tells as much as it can until it is killed: `FOLDER LIFE`. A line of its output
names an event that is kept.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from tandemkit.core.clock import SystemClock
from tandemkit.storage.events.protocol import NewEvent
from tandemkit.storage.events.sqlite import sqlite_events
from tandemkit.storage.forwarding import Forwarding
from tandemkit.storage.outbox import Outbox
from tandemkit.supervise.tasks import Tasks

STREAM = "hosts/a"


async def tell(folder: Path, life: str) -> None:
    clock = SystemClock()
    box = Outbox(folder / "box", clock)
    async with sqlite_events(folder / "store", clock) as store, Tasks() as tasks:
        tasks.spawn("keep", box.run())
        tasks.spawn("send", Forwarding(box, store, clock).run())
        for number in itertools.count(1):
            event = NewEvent(f"{life}-{number}", "tandem.trial.v1.Told", b"x" * 100)
            await box.keep(STREAM, event)
            sys.stdout.write(f"{event.id}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(tell(Path(sys.argv[1]), sys.argv[2]))
