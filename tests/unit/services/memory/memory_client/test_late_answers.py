"""Answers of the orchestrator that are overtaken by what was written through the client."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.memory.memory_client.copies import Copies
from services.memory.memory_client.journal import Bounds, journal
from services.memory.memory_client.line import Line
from services.memory.memory_client.means import Means
from services.memory.memory_client.orchestrator import Orchestrator
from services.memory.memory_client.reading import Reading
from tandem.memory.v1.memory_pb2 import Memory
from tandemkit.core.errors import CallerError
from tandemkit.hosting.news import News
from tandemkit.testing.clock import FakeClock
from tests.unit.services.memory.memory_client.clients import name

BOUNDS = Bounds(10, 1_000_000)


class Overtaken(Orchestrator):
    """Answers with what was there before the journal was drained, which happens meanwhile."""

    def __init__(self, copies: Copies, line: Line, *, is_deleted: bool) -> None:
        super().__init__(None, line, 1.0)
        self._copies, self._is_deleted = copies, is_deleted

    async def memory(self, name: str, within_s: float) -> Memory:
        if self._is_deleted:
            self._copies.drop(name)
        else:
            newer = Memory(name=name, text="a dog", version=2)
            self._copies.take(newer, self._copies.now_s())
        return Memory(name=name, text="a cat", version=1)


async def test_a_late_answer_is_none_where_the_journal_was_drained_meanwhile(
    tmp_path: Path,
) -> None:
    """Who wrote sees what was written, also where that was a deletion."""
    clock, news = FakeClock(), News()
    copies, line = Copies(clock, 10, 1_000_000), Line(clock, news)
    async with journal(tmp_path / "journal.sqlite", BOUNDS, news) as kept:
        changed = Overtaken(copies, line, is_deleted=False)
        reading = Reading(Means(changed, kept, copies, line, clock))
        assert (await reading.memory(name("one"), 0.0, None)).memory.text == "a dog"
        deleted = Overtaken(copies, line, is_deleted=True)
        reading = Reading(Means(deleted, kept, copies, line, clock))
        with pytest.raises(CallerError):
            await reading.memory(name("one"), 0.0, None)
