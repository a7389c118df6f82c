"""Operations, one at a time, remembered. The journal knows each rename before it happens, so a
crash leaves none half done: `recover` finds it made or not made, and says so. docs/design/files.md
has the table of states.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from services.utility.files.journal import Entry, Journal, State
from services.utility.files.relocation import Relocation, cannot_undo
from services.utility.files.trash import Trash
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError, TransientError

_IN_PROGRESS_RETRY_S = 1.0


class History:
    """Claims, carries out and undoes operations. Blocks: call it from a thread, or several."""

    def __init__(
        self, relocation: Relocation, trash: Trash, journal: Journal, lock: threading.Lock
    ) -> None:
        self._relocation, self._trash, self._journal, self._lock = relocation, trash, journal, lock

    def claim(self, call: Entry) -> Entry | None:
        """Notes that `call` begins; if the same call was made before: what it came to."""
        with self._lock:
            known = self._journal.find(call.id)
            if known is None:
                self._journal.put(call)
                return None
        if (known.kind, known.path, known.source_path) != (call.kind, call.path, call.source_path):
            raise CallerError(
                errors.ERROR_REASON_REQUEST_ID_TAKEN,
                "another call has this request id",
                field="request_id",
                rule="other_call",
            )
        if not known.is_made:
            raise TransientError(
                errors.ERROR_REASON_REQUEST_ID_TAKEN,
                "the call with this request id is still in progress",
                retry_after_s=_IN_PROGRESS_RETRY_S,
                rule="in_progress",
            )
        return known

    def carry_out(self, plan: Callable[[], Entry]) -> Entry:
        """Runs `plan`, which checks that the change may happen and names the rename that makes it;
        then makes it. If that fails, `abandon` must follow.
        """
        with self._lock:
            intended = self._reach(plan(), State.INTENDED)
            self._relocation.apply(intended)
            return self._reach(intended, State.DONE)

    def once(self, call: Entry, plan: Callable[[], Entry]) -> Entry:
        """The whole of an operation that stages nothing large."""
        known = self.claim(call)
        if known is not None:
            return known
        try:
            return self.carry_out(plan)
        except BaseException:
            self.abandon(call.id)
            raise

    def abandon(self, operation_id: str) -> None:
        """After a failure: forgets an operation that did not happen, and keeps one that did."""
        with self._lock:
            entry = self._journal.find(operation_id)
            if entry is not None and not entry.is_made:
                self._settle(entry)

    def undo(self, operation_id: str) -> Entry:
        """Makes the rename of an operation backwards. What is undone already stays so."""
        with self._lock:
            entry = self._journal.made(operation_id)
            if entry.state == State.UNDONE:
                return entry
            if entry.state != State.DONE:
                raise cannot_undo("purged")
            self._relocation.check_revertible(entry)
            undoing = self._reach(entry, State.UNDOING)
            try:
                self._relocation.revert(undoing)
            except BaseException:
                self._settle(undoing)
                raise
            return self._reach(undoing, State.UNDONE)

    def recover(self) -> int:
        """Settles what a crash left unfinished; how many operations that were."""
        with self._lock:
            unfinished = self._journal.unfinished()
            for entry in unfinished:
                # What resists, such as a mount in a deleted folder, is left for the next start.
                with suppress(CallerError):
                    self._settle(entry)
        return len(unfinished)

    def _reach(self, entry: Entry, state: State) -> Entry:
        reached = replace(entry, state=state)
        self._journal.put(reached)
        return reached

    def _settle(self, entry: Entry) -> None:
        match entry.state:
            case State.STAGING:
                self._discard(entry)
            case State.INTENDED if self._relocation.is_applied(entry):
                self._reach(entry, State.DONE)
            case State.INTENDED:
                self._discard(entry)
            case State.UNDOING if self._relocation.is_applied(entry):
                self._reach(entry, State.DONE)
            case State.UNDOING:
                self._reach(entry, State.UNDONE)
            case State.PURGING:
                self._trash.remove(entry.id)
                self._reach(entry, State.PURGED)

    def _discard(self, entry: Entry) -> None:
        """Destroys what was staged: until an operation happens, its slot holds nothing else."""
        self._trash.remove(entry.id)
        self._journal.forget(entry.id)
