"""From the journal to the orchestrator: the writes of each memory in their order, of several
memories at once.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from services.memory.memory_client.journal import copy_of
from services.memory.memory_client.means import Means
from services.memory.memory_client.noting import Noting
from services.memory.memory_client.orchestrator import UNSURE, Away, Stored
from services.memory.memory_client.writing import Writing
from tandem.memory.v1.journal_pb2 import JOURNAL_STATE_REFUSED, JournalEntry
from tandemkit.core import log
from tandemkit.reach.failure import Unreachable
from tandemkit.rpc.failure import Refused
from tandemkit.storage.failure import Damaged

# Nobody waits for it, so a slow orchestrator may take its time.
_WITHIN_S: Final = 5.0
# Behind an outage one goes first, then twice as many each time: the others drain too.
_AT_ONCE_MAX: Final = 8
_UNSURE_MAX: Final = 8
_AGAIN_S: Final = 1.0
_DAMAGED: Final = "STORE_DAMAGED"
_LOGGER: Final = logging.getLogger("services.memory.memory_client")


class Draining:
    """What was sent is taken out of the journal once the orchestrator has it. A life that ends in
    between sends it again, which the orchestrator knows by its id.
    """

    def __init__(self, means: Means, writing: Writing, noting: Noting) -> None:
        self._orchestrator, self._journal = means.orchestrator, means.journal
        self._copies, self._line, self._clock = means.copies, means.line, means.clock
        self._writing, self._noting = writing, noting
        self._sending: dict[int, asyncio.Future[None]] = {}
        self.drained = 0

    async def run(self) -> None:
        """Until cancelled. It does nothing while there is nothing to send."""
        at_once = 1
        while True:
            await self._journal.filled.wait()
            heads = self._journal.heads(at_once)
            if not heads:
                self._journal.filled.clear()
                continue
            if not self._line.is_up:
                at_once = 1
                await self._line.pause()
                heads = self._journal.heads(at_once)
            try:
                await self._send_all(heads)
                at_once = min(at_once * 2, _AT_ONCE_MAX)
            except Away:
                at_once = 1
            except Unreachable as error:
                log.event(_LOGGER, logging.ERROR, "journal.unwritable", cause=str(error))
                await self._clock.sleep(_AGAIN_S)

    async def sent(self, numbers: set[int]) -> None:
        """Returns once none of those is on its way."""
        while on_the_way := [self._sending[one] for one in numbers & self._sending.keys()]:
            await asyncio.wait(on_the_way)

    async def _send_all(self, heads: list[JournalEntry]) -> None:
        """Ends with the last of them. Raises what the first one raised that did."""
        sending = (self._send(head) for head in heads)
        for outcome in await asyncio.gather(*sending, return_exceptions=True):
            if outcome is not None:
                raise outcome

    async def _send(self, entry: JournalEntry) -> None:
        """Raises Away, and what the disk raises."""
        over = self._sending[entry.number] = asyncio.get_running_loop().create_future()
        try:
            asked_s = self._copies.now_s()
            try:
                stored = await self._orchestrator.write(entry, _WITHIN_S)
            except Away:
                self._journal.unanswered(entry.number)
                raise
            except Refused as error:
                await self._refused(entry, error)
            else:
                await self._settle(entry, stored, asked_s)
        except Damaged as error:
            self._stuck(entry, error)
        finally:
            del self._sending[entry.number]
            over.set_result(None)

    async def _settle(self, entry: JournalEntry, stored: Stored, asked_s: float) -> None:
        async with self._writing.turns.of(entry.name):
            if self._journal.found(entry.number) is None:
                return  # taken away meanwhile, with what it was about
            behind = self._journal.of(entry.name)[1:2]
            follower = _filled(behind[0], stored) if behind else None
            await self._journal.forget([entry.number], follower)
            self.drained += 1
            if stored.memory is None:
                self._copies.drop(entry.name)
                await self._journal.scrub()
            else:
                self._copies.take(stored.memory, asked_s)

    async def _refused(self, entry: JournalEntry, error: Refused) -> None:
        """It stays, and is told: whoever wrote it was promised that it is kept."""
        told = error.refusal
        changed = copy_of(entry)
        changed.failures += 1
        changed.reason, changed.message = told.reason or told.code.name, told.message
        is_final = told.code.name not in UNSURE or changed.failures >= _UNSURE_MAX
        if is_final:
            changed.state = JOURNAL_STATE_REFUSED
        async with self._writing.turns.of(entry.name):
            await self._journal.change(changed)
        if is_final:
            self._give_up(changed)
        else:
            await self._clock.sleep(_AGAIN_S)

    def _stuck(self, entry: JournalEntry, error: Damaged) -> None:
        """The journal cannot say what became of it: it waits for somebody, and no other for it."""
        changed = copy_of(entry)
        changed.state = JOURNAL_STATE_REFUSED
        changed.reason, changed.message = _DAMAGED, error.message
        self._journal.hold(changed)
        self._give_up(changed)

    def _give_up(self, entry: JournalEntry) -> None:
        said = {"number": entry.number, "reason": entry.reason}
        log.event(_LOGGER, logging.WARNING, "journal.refused", **said)
        self._noting.refused(entry)


def _filled(entry: JournalEntry, stored: Stored) -> JournalEntry:
    """With the version that it follows, now that it is known."""
    filled = copy_of(entry)
    if filled.follows_journal and stored.memory is not None:
        write = filled.update if filled.HasField("update") else filled.delete
        write.expected_version = stored.memory.version
        filled.follows_journal = False
    return filled
