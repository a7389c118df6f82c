"""What becomes of writes that were acknowledged is recorded as an event, where it is no good."""

from __future__ import annotations

import logging
from typing import Final, Protocol

from google.protobuf.message import Message

from tandem.memory.v1.journal_pb2 import JournalEntry
from tandem.memory.v1.memory_pb2 import MemoryOperationFailed
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.hosting.scope import Where
from tandemkit.reach.failure import Unreachable

STREAM: Final = "memory/client"
_LOGGER: Final = logging.getLogger("services.memory.memory_client")


class Recorder(Protocol):
    def note(self, content: Message) -> None:
        """Raises Unreachable where nothing can be kept any more."""


class Noting:
    """For one instance."""

    def __init__(self, recorder: Recorder, agent: str, where: Where, clock: Clock) -> None:
        self._recorder, self._agent, self._where, self._clock = recorder, agent, where, clock

    def refused(self, entry: JournalEntry) -> None:
        """It says neither what was written nor to which memory."""
        error = f"{entry.WhichOneof('write')}_memory_error"
        self._note(
            MemoryOperationFailed(
                error=error, reason=entry.reason, namespace=entry.name.split("/")[1], count=1
            )
        )

    def unreadable(self, writes: int) -> None:
        """So many of an earlier life, whosever they were."""
        log.event(_LOGGER, logging.ERROR, "journal.unreadable", writes=writes)
        self._note(
            MemoryOperationFailed(
                error="restore_journal_error", reason="STORE_DAMAGED", count=writes
            )
        )

    def _note(self, event: MemoryOperationFailed) -> None:
        event.agent, event.machine = self._agent, self._where.machine
        event.time.FromDatetime(self._clock.now())
        try:
            self._recorder.note(event)
        except Unreachable as error:
            log.event(_LOGGER, logging.ERROR, "journal.not_noted", cause=str(error))
