"""Schedules in a store of state, beside an index of when each has to be looked at: the keys of both
change in one write, so neither says what the other does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from services.tasks.scheduler.plans import PREFIX, moment
from tandem.tasks.v1 import schedule_pb2 as pb
from tandemkit.storage.state.protocol import Change, StateStore, VersionConflict

_WAKES: Final = "wakes/"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# A record may have a few ten KiB.
_PART: Final = 100

Edit = Callable[[pb.ScheduleRecord], bool]


@dataclass(frozen=True, slots=True)
class Kept:
    """A record as the store has it."""

    record: pb.ScheduleRecord
    version: int


@dataclass(frozen=True, slots=True, order=True)
class Wake:
    """When somebody has to look at a schedule."""

    at: datetime
    schedule_id: str

    @property
    def key(self) -> str:
        return f"{_WAKES}{(self.at - _EPOCH) // _MICROSECOND:018}/{self.schedule_id}"

    @classmethod
    def of_key(cls, key: str) -> Wake:
        at, _, schedule_id = key.removeprefix(_WAKES).partition("/")
        return cls(_EPOCH + int(at) * _MICROSECOND, schedule_id)


def wake_of(record: pb.ScheduleRecord) -> Wake | None:
    if not record.HasField("wake_time"):
        return None
    return Wake(moment(record.wake_time), record.schedule.name.removeprefix(PREFIX))


class Book:
    """Raises what the store raises."""

    def __init__(self, store: StateStore) -> None:
        self._store = store

    async def get(self, schedule_id: str) -> Kept | None:
        found = await self._store.get(PREFIX + schedule_id)
        if found is None:
            return None
        return Kept(pb.ScheduleRecord.FromString(found.content), found.version)

    async def write(self, record: pb.ScheduleRecord, before: Kept | None) -> Kept:
        """In the place of `before`; raises VersionConflict where that is not there any more."""
        content = record.SerializeToString(deterministic=True)
        changes = [Change(record.schedule.name, content, before.version if before else 0)]
        old, new = wake_of(before.record) if before else None, wake_of(record)
        if old != new:
            changes += [Change(old.key, None)] if old else []
            changes += [Change(new.key, b"")] if new else []
        return Kept(record, await self._store.write(changes))

    async def remove(self, kept: Kept) -> None:
        """Raises VersionConflict."""
        changes = [Change(kept.record.schedule.name, None, kept.version)]
        wake = wake_of(kept.record)
        await self._store.write([*changes, Change(wake.key, None)] if wake else changes)

    async def change(self, schedule_id: str, edit: Edit, known: Kept | None = None) -> Kept | None:
        """The record after `edit`, which is applied again to what somebody else wrote meanwhile,
        and answers False where nothing is to be changed. None where there is no record.
        """
        kept = known or await self.get(schedule_id)
        while kept is not None:
            record = pb.ScheduleRecord()
            record.CopyFrom(kept.record)
            if not edit(record):
                return kept
            try:
                return await self.write(record, kept)
            except VersionConflict:
                kept = await self.get(schedule_id)
        return None

    async def wakes(self, limit: int) -> list[Wake]:
        """The first ones, in their order."""
        found: list[Wake] = []
        after = ""
        while len(found) < limit:
            page = await self._store.entries(_WAKES, after, min(limit - len(found), 1000))
            if not page:
                break
            found += [Wake.of_key(entry.key) for entry in page]
            after = page[-1].key
        return found

    async def page(self, prefix: str, after: str, limit: int) -> list[pb.Schedule]:
        """Those whose ids begin so and stand behind `after`, by id; at most a part of a listing at
        once.
        """
        found = await self._store.entries(
            PREFIX + prefix, PREFIX + after if after else "", min(limit, _PART)
        )
        return [pb.ScheduleRecord.FromString(entry.stored.content).schedule for entry in found]
