"""What the trash holds, and its end: asked for, or by age."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from services.utility.files.journal import Entry, Journal, State, microseconds
from services.utility.files.trash import Trash
from tandemkit.core.errors import CallerError


@dataclass(frozen=True)
class Purged:
    """What a purge destroyed."""

    entries_count: int = 0
    freed_bytes: int = 0


class Retention:
    """Shares the lock with `history`, and holds it only to read and write the journal. Blocks: call
    it from a thread.
    """

    def __init__(self, trash: Trash, journal: Journal, lock: threading.Lock) -> None:
        self._trash, self._journal, self._lock = trash, journal, lock
        self._purge_lock = threading.Lock()
        self._is_closing = False

    def close(self) -> None:
        """Returns once no operation is under way; a purge stops after the entry in hand."""
        self._is_closing = True
        with self._purge_lock, self._lock:
            pass

    def trashed(self, before: int, limit: int) -> list[tuple[int, Entry]]:
        """What holds trash, newest first, each with a number by which to go on."""
        with self._lock:
            return self._journal.trashed(before, limit)

    def purge_one(self, operation_id: str) -> Purged:
        with self._lock:
            entry = self._journal.made(operation_id)
        return self._purge(entry)

    def purge_before(self, moment: datetime) -> Purged:
        """What resists, such as a mount in a deleted folder, is left for the next start."""
        with self._lock:
            entries = self._journal.trashed_before(microseconds(moment))
        entries_count = freed_bytes = 0
        for entry in entries:
            with suppress(CallerError):
                purged = self._purge(entry)
                entries_count += purged.entries_count
                freed_bytes += purged.freed_bytes
        return Purged(entries_count, freed_bytes)

    def forget_before(self, moment: datetime) -> Purged:
        """Purges what is that old and drops it from the journal: its ids are free again."""
        purged = self.purge_before(moment)
        with self._lock:
            self._journal.forget_before(microseconds(moment))
        return purged

    def _purge(self, entry: Entry) -> Purged:
        with self._purge_lock:
            purging = self._claimed(entry.id)
            if purging is None:
                return Purged()
            # Long for a large folder. Others go on meanwhile: they leave a slot in PURGING alone.
            freed_bytes = self._trash.remove(entry.id)
            with self._lock:
                self._journal.put(replace(purging, state=State.PURGED))
            return Purged(entries_count=1, freed_bytes=freed_bytes)

    def _claimed(self, operation_id: str) -> Entry | None:
        """The entry, from now on only the purge's; None if by now it holds no trash."""
        with self._lock:
            current = self._journal.find(operation_id)
            if current is None or not current.holds_trash or self._is_closing:
                return None
            purging = replace(current, state=State.PURGING)
            self._journal.put(purging)
            return purging
