"""Which deletions there were, in a file beside the agent's state: `./tandem restore` reads it, and
carries it over into what it restores. docs/design/tenancy.md.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from tandem.memory.v1 import deletion_pb2 as nouns
from tandemkit.hosting.told import Copy

FILE = "deletions.binpb"
_KEPT_MAX = 10_000


class Past:
    def __init__(self, folder: Path) -> None:
        self._copy = Copy(folder / FILE, nouns.DeletionLog)
        self._turn = asyncio.Lock()

    async def note(self, *deletions: nouns.Deletion) -> None:
        """All of these as they are now; others stay, for a restore may have taken theirs away."""
        async with self._turn:
            log = await self._copy.load() or nouns.DeletionLog()
            by_name = {one.name: one for one in log.entries}
            by_name |= {one.name: _entry(one) for one in deletions}
            entries = sorted(by_name.values(), key=lambda one: (one.time.seconds, one.name))
            new = nouns.DeletionLog(entries=entries[-_KEPT_MAX:])
            if new != log:
                await self._copy.keep(new)


def _entry(deletion: nouns.Deletion) -> nouns.DeletionLog.Entry:
    is_over = deletion.state == nouns.DELETION_STATE_COMPLETE
    time = deletion.complete_time if is_over else deletion.request_time
    return nouns.DeletionLog.Entry(name=deletion.name, time=time, complete=is_over)
