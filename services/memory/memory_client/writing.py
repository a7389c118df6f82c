"""Writes: straight to the orchestrator, or into the journal."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.memory.memory_client.journal import copy_of
from services.memory.memory_client.means import Means
from services.memory.memory_client.orchestrator import Away
from services.memory.memory_client.overlay import Overlaid, overlaid
from tandem.memory.v1.journal_pb2 import JournalEntry
from tandem.memory.v1.memory_client_service_pb2 import (
    WRITE_STANDING_JOURNALED,
    WRITE_STANDING_STORED,
    WriteStanding,
)
from tandem.memory.v1.memory_pb2 import Memory
from tandemkit.hosting import memory_refusals
from tandemkit.supervise.named_turns import NamedTurns


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a write. `number` is its place in the journal, 0 for none."""

    standing: WriteStanding.ValueType
    memory: Memory | None
    number: int = 0
    was_there: bool = False
    remains: list[str] = field(default_factory=list)


class Writing:
    """One write at a time to each memory, in the order in which they come. Raises CallerError,
    what the disk raises, and Refused with what the orchestrator said.
    """

    def __init__(self, means: Means) -> None:
        self._orchestrator, self._journal = means.orchestrator, means.journal
        self._copies, self._line, self._clock = means.copies, means.line, means.clock
        # Whoever changes what the journal has of a memory takes its turn.
        self.turns = NamedTurns()
        self.stored = 0

    async def write(self, entry: JournalEntry, left_s: float | None) -> Written:
        """`left_s` is how long its caller will wait; None for ever."""
        async with self.turns.of(entry.name):
            queued = self._journal.of(entry.name)
            if not queued and self._may_try():
                asked_s = self._copies.now_s()
                within_s = self._orchestrator.within_s(left_s)
                try:
                    stored = await self._orchestrator.write(entry, within_s)
                except Away:
                    return await self._journaled(entry, queued)
                self.stored += 1
                self._take(entry.name, stored.memory, asked_s)
                if stored.memory is None:
                    await self._journal.scrub()
                return Written(
                    WRITE_STANDING_STORED, stored.memory, 0, stored.was_there, stored.remains
                )
            return await self._journaled(entry, queued)

    def known(self, name: str, entries: list[JournalEntry]) -> Overlaid:
        """The memory as it will be once those are stored, as far as can be told here."""
        copy = self._copies.of(name)
        return overlaid(copy.memory if copy else None, entries)

    def _may_try(self) -> bool:
        """While the line is lost what drains the journal tries it: nobody waits for that."""
        return self._line.is_up or (not len(self._journal) and self._line.may_try())

    def _take(self, name: str, memory: Memory | None, asked_s: float) -> None:
        if memory is None:
            self._copies.drop(name)
        else:
            self._copies.take(memory, asked_s)

    async def _journaled(self, entry: JournalEntry, queued: list[JournalEntry]) -> Written:
        before = self.known(entry.name, queued)
        if before.is_deleted and _adds(entry):
            raise memory_refusals.deleted(entry.name)
        if (again := _same(entry, queued)) is not None:
            number = again.number
            return Written(WRITE_STANDING_JOURNALED, before.memory, number, was_there=True)
        _check(entry, queued, before)
        kept = copy_of(entry)
        kept.time.FromDatetime(self._clock.now())
        kept.follows_journal = bool(queued) and bool(_expected(entry))
        kept = await self._journal.put(kept)
        after = self.known(entry.name, [*queued, kept])
        was_there = before.memory is not None
        return Written(WRITE_STANDING_JOURNALED, after.memory, kept.number, was_there)


def _same(entry: JournalEntry, queued: list[JournalEntry]) -> JournalEntry | None:
    """The one that this write repeats."""
    match entry.WhichOneof("write"):
        case "add":
            return next((one for one in queued if _adds(one) and one.add == entry.add), None)
        case "update":
            wanted = entry.update.request_id
            return next((one for one in queued if one.update.request_id == wanted), None)
        case _:
            last = queued[-1:]
            return next((one for one in last if one.WhichOneof("write") == "delete"), None)


def _check(entry: JournalEntry, queued: list[JournalEntry], before: Overlaid) -> None:
    """What the orchestrator would refuse, as far as that is known here."""
    if _adds(entry):
        if any(map(_adds, queued)):
            raise memory_refusals.taken(entry.name)
        return
    if before.is_deleted:
        raise memory_refusals.missing(entry.name)
    expected = _expected(entry)
    if expected and queued and before.memory is not None and before.is_whole:
        actual = before.memory.version
        if expected != actual:
            raise memory_refusals.outdated(entry.name, expected, actual)


def _adds(entry: JournalEntry) -> bool:
    return entry.WhichOneof("write") == "add"


def _expected(entry: JournalEntry) -> int:
    """The version; 0 for any."""
    return int(entry.update.expected_version or entry.delete.expected_version)
