"""Functions in processes of their own: real ones, killed and cancelled."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tandemkit.core.clock import SystemClock
from tandemkit.core.errors import Bug, CallerError
from tandemkit.supervise.tasks import Tasks
from tandemkit.supervise.worker import Unpicklable
from tandemkit.supervise.workers import Crew, WorkerLost, Workers, WorkersBusy
from tandemkit.testing.clock import FakeClock
from tests.unit.tandemkit.supervise import work
from tests.unit.tandemkit.supervise.test_processes import alive


@asynccontextmanager
async def working(
    folder: Path, crew: Crew | None = None, clock: FakeClock | None = None
) -> AsyncIterator[Workers]:
    workers = Workers(crew or Crew(), folder, clock or SystemClock())
    async with Tasks() as tasks:
        tasks.spawn("workers", workers.keep())
        yield workers


async def begun(path: Path) -> int:
    """The process that has begun."""
    while not (said := await asyncio.to_thread(text_of, path)):
        await SystemClock().sleep(0.02)
    return int(said)


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def test_a_function_runs_elsewhere_and_its_value_comes_back(tmp_path: Path) -> None:
    """The process is used again: one start for many calls."""
    async with working(tmp_path) as workers:
        assert await workers.run(work.add, 1, other=2) == 3
        first = await workers.run(work.whose)
        assert first != os.getpid()
        assert await workers.run(work.whose) == first
        assert workers.account.runs == 3
    assert not alive(first)


async def test_nothing_is_started_before_there_is_work(tmp_path: Path) -> None:
    """An agent that may need workers and does not costs nothing."""
    async with working(tmp_path):
        assert not (tmp_path / "workers.log").exists()


async def test_what_a_function_raises_is_raised_here(tmp_path: Path) -> None:
    """A failure with all that it knows, and with the frames that are elsewhere."""
    async with working(tmp_path) as workers:
        with pytest.raises(CallerError, match="text exceeds the limit") as raised:
            await workers.run(work.refuse, 7)
        error = raised.value
        assert (error.reason, error.field, error.metadata) == (7, "text", {"chars_max": "5"})
        assert "in refuse" in error.__notes__[0]
        with pytest.raises(Unpicklable, match="lock"):
            await workers.run(work.not_to_be_sent)


async def test_what_cannot_be_sent_is_a_bug(tmp_path: Path) -> None:
    """Of whoever wrote it, and no process is lost by it."""
    async with working(tmp_path) as workers:
        for function in (lambda: None, threading.Lock().acquire):
            with pytest.raises(Bug, match="cannot be sent"):
                await workers.run(function)
        with pytest.raises(Bug, match="cannot be sent"):
            await workers.run(work.whose, threading.Lock())


async def test_a_worker_that_dies_is_replaced_and_its_caller_told(tmp_path: Path) -> None:
    """By its own doing, by kill -9 at work, and by kill -9 at rest."""
    path = tmp_path / "begun"
    async with working(tmp_path) as workers:
        with pytest.raises(WorkerLost, match="SIGKILL"):
            await workers.run(work.die)
        lost = asyncio.gather(workers.run(work.never_end, str(path)), return_exceptions=True)
        os.kill(await begun(path), signal.SIGKILL)
        assert isinstance((await lost)[0], WorkerLost)
        resting = await workers.run(work.whose)
        os.kill(resting, signal.SIGKILL)
        while alive(resting):
            await SystemClock().sleep(0.01)
        assert await workers.run(work.whose) != resting
        assert workers.account.lost == 2


async def test_who_stops_waiting_ends_the_work(tmp_path: Path) -> None:
    """Nothing else does: a deadline that leaves the function running is none."""
    path = tmp_path / "begun"
    async with working(tmp_path) as workers:
        caller = asyncio.gather(workers.run(work.never_end, str(path)))
        process = await begun(path)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert await workers.run(work.add, 1, other=1) == 2
        while alive(process):
            await SystemClock().sleep(0.01)


async def test_a_full_queue_refuses_at_once(tmp_path: Path) -> None:
    """And those in it are served in their order."""
    path = tmp_path / "begun"
    async with working(tmp_path, Crew(processes_max=1, waiting_max=2)) as workers:
        busy = asyncio.gather(workers.run(work.never_end, str(path)))
        await begun(path)
        waiting = asyncio.gather(*(workers.run(work.add, one, other=0) for one in (1, 2)))
        await SystemClock().sleep(0)
        with pytest.raises(WorkersBusy, match="waiting_max='2'"):
            await workers.run(work.whose)
        busy.cancel()
        assert await waiting == [1, 2]


async def test_as_many_work_at_once_as_there_are_processes(tmp_path: Path) -> None:
    """And no more, however many wait."""
    async with working(tmp_path, Crew(processes_max=2)) as workers:
        found = await asyncio.gather(*(workers.run(work.spin, 0.2) for _ in range(6)))
        assert len(set(found)) == 2
        assert workers.account.cpu_s > 0


async def test_a_worker_that_has_nothing_to_do_is_ended(tmp_path: Path) -> None:
    """Its memory is free again; the next work starts another one."""
    clock = FakeClock()
    async with working(tmp_path, Crew(idle_s=30), clock) as workers:
        process = await workers.run(work.whose)
        await clock.advance(29)
        assert alive(process)
        await clock.advance(2)
        while alive(process):
            await SystemClock().sleep(0.01)
        assert await workers.run(work.whose) != process


async def test_all_end_with_their_owner(tmp_path: Path) -> None:
    """Those at work too."""
    path = tmp_path / "begun"
    async with working(tmp_path, Crew(processes_max=2)) as workers:
        resting = await workers.run(work.whose)
        caller = asyncio.gather(workers.run(work.never_end, str(path)), return_exceptions=True)
        at_work = await begun(path)
        caller.cancel()
    assert not alive(resting)
    assert not alive(at_work)
