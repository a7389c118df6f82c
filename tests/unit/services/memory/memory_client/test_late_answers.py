"""Answers of the orchestrator that are overtaken by what was written through the client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from services.memory.memory_client.copies import Copies
from services.memory.memory_client.draining import Draining
from services.memory.memory_client.journal import Bounds, journal
from services.memory.memory_client.line import Line
from services.memory.memory_client.matter import Matter
from services.memory.memory_client.means import Means
from services.memory.memory_client.noting import Noting
from services.memory.memory_client.orchestrator import Orchestrator, Stored
from services.memory.memory_client.reading import Reading
from services.memory.memory_client.writing import Writing
from tandem.memory.v1.journal_pb2 import JournalEntry
from tandem.memory.v1.memory_orchestrator_service_pb2 import (
    AddMemoryRequest,
    SearchMemoriesRequest,
    SearchMemoriesResponse,
)
from tandem.memory.v1.memory_pb2 import Memory, MemoryHit
from tandem.memory.v1.subject_pb2 import DeleteSubjectRequest
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting.news import News
from tandemkit.hosting.scope import Where
from tandemkit.testing.clock import FakeClock
from tests.unit.services.memory.memory_client.clients import name

BOUNDS = Bounds(10, 1_000_000)
ABOUT_ADA = Memory(name=name("one"), text="a cat", subjects=["Ada"], version=1)
ABOUT_NOBODY = Memory(name=name("two"), text="a cat", version=1)


class Unheard:
    def note(self, content: Message) -> None:
        """To nobody."""


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


class Held(Orchestrator):
    """Answers once somebody else is through; then the link is cut."""

    def __init__(self, line: Line) -> None:
        super().__init__(None, line, 1.0)
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def memory(self, name: str, within_s: float) -> Memory:
        (found,) = (one for one in (ABOUT_ADA, ABOUT_NOBODY) if one.name == name)
        await self._cut()
        return found

    async def search(
        self, request: SearchMemoriesRequest, within_s: float
    ) -> SearchMemoriesResponse:
        await self._cut()
        hits = (MemoryHit(memory=one) for one in (ABOUT_ADA, ABOUT_NOBODY))
        return SearchMemoriesResponse(hits=hits)

    async def write(self, entry: JournalEntry, within_s: float) -> Stored:
        await self._cut()
        return Stored(ABOUT_ADA)

    async def _cut(self) -> None:
        assert self.meanwhile is not None
        await self.meanwhile()
        self._line.lost("UNAVAILABLE")


@pytest.mark.parametrize("asked", ["memory", "search", "write"])
@pytest.mark.parametrize(
    "whom", [{"subject": "ADA"}, {"whole_namespace": True}], ids=["subject", "namespace"]
)
async def test_what_was_asked_for_before_a_subject_was_deleted_is_no_copy(
    asked: str, whom: dict[str, Any], tmp_path: Path
) -> None:
    """It would be read for as long as the orchestrator is away, long behind the deletion."""
    clock, news = FakeClock(), News()
    copies, line = Copies(clock, 10, 1_000_000), Line(clock, news)
    async with journal(tmp_path / "journal.sqlite", BOUNDS, news) as kept:
        orchestrator = Held(line)
        means = Means(orchestrator, kept, copies, line, clock)
        reading, writing = Reading(means), Writing(means)
        draining = Draining(means, writing, Noting(Unheard(), "a", Where("m", "p"), clock))
        matter = Matter(means, writing, draining)
        request = DeleteSubjectRequest(**whom)
        orchestrator.meanwhile = lambda: matter.delete(request, "default")
        if asked == "memory":
            with pytest.raises(CallerError):
                await reading.memory(name("one"), 0.0, None)
        elif asked == "search":
            await reading.search(SearchMemoriesRequest(query="cat"), "default", None)
        else:
            add = AddMemoryRequest(memory_id="one", memory=ABOUT_ADA)
            await writing.write(JournalEntry(name=name("one"), add=add), None)
        with pytest.raises(TransientError):
            await reading.memory(name("one"), 3600.0, None)
        is_kept = asked == "search" and "subject" in whom
        assert copies.drop_about(lambda _memory: True) == ([name("two")] if is_kept else [])
