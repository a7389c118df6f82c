"""Jobs as they are kept: one record each, its call and its answer beside it, and listings by state.

What a record says is true; a message in the queue is only a reason to look at it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

from google.protobuf.message import Message

from tandem.tasks.v1 import agent_call_pb2, job_pb2
from tandemkit.core.clock import Clock
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.protocol import Change, VersionConflict

ENDED: Final = frozenset({job_pb2.JOB_STATE_DONE, job_pb2.JOB_STATE_CANCELLED})
STATES: Final = tuple(job_pb2.JobState.values()[1:])
_JOB, _CALL, _ANSWER, _LISTED = "job/", "call/", "answer/", "listed/"
# Four values a job.
_DELETED_MAX = 25
Kind = TypeVar("Kind", bound=Message)
Edit = Callable[[job_pb2.JobRecord], None]


class Unfit(Exception):
    """The record is not in a state that the edit is for; nothing was written."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of a listing."""

    line: str
    job_id: str
    moment: datetime


class Book:
    """Raises what the store does."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._store, self._clock = state.store, clock
        self._watching: dict[str, set[asyncio.Event]] = {}
        # Set whenever a job ends.
        self.ended = asyncio.Event()

    async def add(self, job_id: str, record: job_pb2.JobRecord, call: Message) -> bool:
        """False, and nothing is written, where there is one of that id."""
        record.job.version = 1
        record.listed = _line(job_id, record.job)
        changes = [
            Change(_JOB + job_id, _bytes(record), 0),
            Change(_CALL + job_id, _bytes(call)),
            Change(record.listed, b""),
        ]
        try:
            await self._store.write(changes)
        except VersionConflict:
            return False
        return True

    async def find(self, job_id: str) -> job_pb2.JobRecord | None:
        return await self._read(_JOB + job_id, job_pb2.JobRecord)

    async def call_of(self, job_id: str) -> agent_call_pb2.AgentCall:
        return await self._read(_CALL + job_id, agent_call_pb2.AgentCall) or (
            agent_call_pb2.AgentCall()
        )

    async def answer_of(self, job_id: str) -> agent_call_pb2.AgentAnswer | None:
        return await self._read(_ANSWER + job_id, agent_call_pb2.AgentAnswer)

    async def change(
        self, job_id: str, edit: Edit, answer: Message | None = None
    ) -> job_pb2.JobRecord | None:
        """As if nobody wrote at the same time: where somebody did, `edit` is applied again to what
        they wrote. None where there is no such job. Raises Unfit, as `edit` does.
        """
        while True:
            found = await self._store.get(_JOB + job_id)
            if found is None:
                return None
            record = job_pb2.JobRecord.FromString(found.content)
            edit(record)
            record.job.version += 1
            was, record.listed = record.listed, _line(job_id, record.job)
            changes = [Change(_JOB + job_id, _bytes(record), found.version)]
            if was != record.listed:
                changes += [Change(was, None), Change(record.listed, b"")]
            if answer is not None:
                changes.append(Change(_ANSWER + job_id, _bytes(answer)))
            try:
                await self._store.write(changes)
            except VersionConflict:
                continue
            self._tell(job_id, record)
            return record

    async def listed(
        self, state: job_pb2.JobState.ValueType, after: str = "", limit: int = 1000
    ) -> list[Listed]:
        """The oldest first, behind the line `after`."""
        entries = await self._store.entries(_beginning(state), after, limit)
        return [_read_line(entry.key) for entry in entries]

    async def every(self, state: job_pb2.JobState.ValueType) -> AsyncIterator[str]:
        """The ids of all in that state; what changes meanwhile may be seen or not."""
        after = ""
        while page := await self.listed(state, after):
            for one in page:
                yield one.job_id
            after = page[-1].line

    async def delete(self, gone: list[Listed]) -> None:
        for first in range(0, len(gone), _DELETED_MAX):
            part = gone[first : first + _DELETED_MAX]
            await self._store.write(
                [
                    Change(key, None)
                    for one in part
                    for key in (
                        *(f"{kind}{one.job_id}" for kind in (_JOB, _CALL, _ANSWER)),
                        one.line,
                    )
                ]
            )

    @contextmanager
    def watched(self, job_id: str) -> Iterator[asyncio.Event]:
        """Set whenever this process changes the job."""
        news = asyncio.Event()
        watching = self._watching.setdefault(job_id, set())
        watching.add(news)
        try:
            yield news
        finally:
            watching.discard(news)
            if not watching:
                self._watching.pop(job_id, None)

    def _tell(self, job_id: str, record: job_pb2.JobRecord) -> None:
        if record.job.HasField("end_time"):
            self.ended.set()
        for news in self._watching.get(job_id, ()):
            news.set()

    async def _read(self, key: str, kind: type[Kind]) -> Kind | None:
        found = await self._store.get(key)
        return kind.FromString(found.content) if found else None


def is_over(job: job_pb2.Job) -> bool:
    """Whether nothing happens to it by itself any more."""
    return job.state in ENDED or job.state == job_pb2.JOB_STATE_DEAD


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def _beginning(state: int) -> str:
    return f"{_LISTED}{state}/"


def _line(job_id: str, job: job_pb2.Job) -> str:
    moment = job.end_time if job.HasField("end_time") else job.submit_time
    return f"{_beginning(job.state)}{moment.ToMicroseconds():017d}-{job_id}"


def _read_line(line: str) -> Listed:
    moment, _, job_id = line.rpartition("/")[2].partition("-")
    return Listed(line, job_id, datetime.fromtimestamp(int(moment) / 1e6, tz=UTC))
