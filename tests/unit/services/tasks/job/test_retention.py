"""Jobs that are over are kept for a while, and not too many of them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from services.tasks.job.book import Book
from services.tasks.job.retention import Retention, Terms
from tandem.tasks.v1 import agent_call_pb2, job_pb2
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.sqlite import sqlite_state
from tandemkit.testing.clock import FakeClock

DONE = job_pb2.JOB_STATE_DONE


async def test_what_is_over_is_let_go_of(tmp_path: Path) -> None:
    """Beyond the number that the settings keep, the oldest first; the others stay."""
    clock = FakeClock()
    async with sqlite_state(tmp_path / "state.sqlite") as store:
        book = Book(State(store), clock)
        for number in range(5):
            record = job_pb2.JobRecord(job=job_pb2.Job(name=f"jobs/{number}", state=DONE))
            record.job.end_time.FromDatetime(clock.now() + timedelta(minutes=number))
            await book.add(str(number), record, agent_call_pb2.AgentCall())
        many, old = (
            Retention(book, Terms(timedelta(hours=1), timedelta(hours=1), most), clock)
            for most in (2, 10)
        )
        assert await many.sweep()
        assert [one.job_id for one in await book.listed(DONE)] == ["3", "4"]
        await clock.advance(3600 + 3 * 60)
        assert await old.sweep()
        assert [one.job_id for one in await book.listed(DONE)] == ["4"]
        await clock.advance(60)
        assert not await old.sweep()
        assert await store.entries() == ()
