"""What opens a workflow: callers who hang up or ask twice at once, and a store that loses words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.tasks.workflow import course
from services.tasks.workflow.execution import Means
from services.tasks.workflow.running import Running
from services.tasks.workflow.servicer import Workflows
from services.tasks.workflow.shelf import Shelf
from tandem.tasks.v1 import agent_call_pb2 as calls
from tandem.tasks.v1 import workflow_pb2 as pb
from tandem.tasks.v1 import workflow_service_pb2 as service_pb
from tandemkit.reach.failure import Unreachable
from tandemkit.rpc.contract import Method
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.protocol import Change, Changes, Entry, StateStore, Stored
from tandemkit.storage.state.sqlite import sqlite_state
from tandemkit.supervise.errands import Errands
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock
from tests.unit.services.tasks.workflow.toolbox import undone

pytestmark = pytest.mark.timeout(30)


class Lossy:
    """A store whose writes wait while `holds` is not set, and whose next answer waits for `late`
    if there is one; of some writes nobody hears that they are there, and what is to go stays.
    """

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self.holds = asyncio.Event()
        self.holds.set()
        self.writing, self.asked = asyncio.Event(), asyncio.Event()
        self.late: asyncio.Event | None = None
        self.unheard = self.refused = 0

    async def get(self, key: str) -> Stored | None:
        found = await self._store.get(key)
        late, self.late = self.late, None
        if late is not None:
            self.asked.set()
            await late.wait()
        return found

    async def found(self, keys: Sequence[str]) -> dict[str, Stored]:
        return await self._store.found(keys)

    async def changed(self, since: int = 0, limit: int = 1000) -> Changes:
        return await self._store.changed(since, limit)

    async def write(self, changes: Sequence[Change]) -> int:
        self.writing.set()
        await self.holds.wait()
        if self.refused and all(one.content is None for one in changes):
            self.refused -= 1
            raise Unreachable("it was told to fail")
        version = await self._store.write(changes)
        if self.unheard:
            self.unheard -= 1
            raise Unreachable("nobody hears of it")
        return version

    async def entries(
        self, prefix: str = "", after: str = "", limit: int = 1000
    ) -> tuple[Entry, ...]:
        return await self._store.entries(prefix, after, limit)

    async def scrub(self, *, thoroughly: bool = False, upto: int | None = None) -> tuple[str, ...]:
        return await self._store.scrub(thoroughly=thoroughly, upto=upto)


class Callee:
    """Whom all calls reach."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def check(self, *_said: object, **_more: object) -> Method:
        raise NotImplementedError

    async def method(self, call: calls.AgentCall) -> Method:
        raise NotImplementedError

    async def call(self, _call: calls.AgentCall, key: str) -> calls.AgentAnswer:
        self.keys.append(key)
        return calls.AgentAnswer(response=b"")


class Scene:
    def __init__(self, store: StateStore, tasks: Tasks, most: int) -> None:
        self.store, self.callee, self.clock = Lossy(store), Callee(), FakeClock()
        self.shelf = Shelf(State(self.store))
        means = Means(self.shelf, self.callee, self.clock, asyncio.Semaphore(9))
        self.running = Running(means, tasks.spawn, most, ended_max=1)
        tasks.spawn("forget", self.running.forget())

    async def start(self, name: str) -> pb.Workflow:
        plan = pb.WorkflowPlan(nodes=[undone("a")])
        return await self.running.start(course.begun(f"workflows/{name}", plan, self.clock.now()))

    async def watch(self, name: str, told: list[pb.Workflow]) -> None:
        """To the end."""
        service = Workflows(self.running, self.shelf, self.callee, self.clock)
        asked = service_pb.WatchWorkflowRequest(name=f"workflows/{name}")
        context: Any = None
        told.extend([one.workflow async for one in service.WatchWorkflow(asked, context)])

    async def ended(self, name: str) -> pb.Workflow:
        async with asyncio.timeout(10):
            while True:
                found = await self.shelf.get(name)
                is_over = found is not None and course.has_ended(found)
                if found is not None and is_over and self.running.get(name) is None:
                    return found
                await asyncio.to_thread(lambda: None)


@asynccontextmanager
async def scene(folder: Path, most: int = 9) -> AsyncIterator[Scene]:
    async with sqlite_state(folder / "state.sqlite") as store, Tasks() as tasks:
        made = Scene(store, tasks, most)
        yield made
        await made.running.end()
        await tasks.end()


async def test_a_workflow_runs_also_where_its_starter_hangs_up(tmp_path: Path) -> None:
    """While it was written down: nobody else would run it before the next life."""
    async with scene(tmp_path) as it:

        async def started() -> None:
            await it.start("w")

        it.store.holds.clear()
        starting = Errands().start(started())
        await it.store.writing.wait()
        starting.cancel()
        await asyncio.wait([starting])
        it.store.holds.set()
        assert (await it.ended("w")).state == pb.WORKFLOW_STATE_SUCCEEDED
        assert it.callee.keys == ["w--a"]


async def test_a_workflow_that_nobody_heard_was_written_runs_when_it_is_started_again(
    tmp_path: Path,
) -> None:
    """Its starter was told that the store does not answer."""
    async with scene(tmp_path) as it:
        it.store.unheard = 1
        with pytest.raises(Unreachable):
            await it.start("w")
        await it.start("w")
        await it.ended("w")
        assert it.callee.keys == ["w--a"]


async def test_a_started_workflow_is_known_also_where_no_other_may_run(tmp_path: Path) -> None:
    """Whoever did not hear the answer asks again, and is not told that there is no room."""
    async with scene(tmp_path, most=1) as it:
        it.store.holds.clear()
        both = asyncio.gather(it.start("w"), it.start("w"))
        await it.store.writing.wait()
        it.store.holds.set()
        assert [one.name for one in await both] == ["workflows/w"] * 2


async def test_a_stuck_workflow_goes_on_once_whoever_asks_for_it(tmp_path: Path) -> None:
    """Two who ask at the same moment find one going on."""
    async with scene(tmp_path) as it:
        plan = pb.WorkflowPlan(nodes=[undone("a")])
        stuck = course.begun("workflows/w", plan, it.clock.now())
        stuck.state, stuck.nodes[0].state = (
            pb.WORKFLOW_STATE_STUCK,
            pb.NODE_STATE_COMPENSATION_FAILED,
        )
        stuck.end_time.FromDatetime(it.clock.now())
        stuck.version = 1
        await it.shelf.create(stuck)
        found = await asyncio.gather(it.running.unstick("w"), it.running.unstick("w"))
        assert [one is not None and one.state for one in found] == [
            pb.WORKFLOW_STATE_COMPENSATING
        ] * 2
        assert (await it.ended("w")).state == pb.WORKFLOW_STATE_FAILED
        assert it.callee.keys == ["w--a--undo"]


async def test_what_cannot_be_forgotten_now_is_forgotten_later(tmp_path: Path) -> None:
    """A store that is away for a moment ends nothing that runs."""
    async with scene(tmp_path) as it:
        await it.start("one")
        await it.ended("one")
        await it.clock.advance(1)
        it.store.refused = 1
        await it.start("two")
        await it.ended("two")
        async with asyncio.timeout(10):
            while await it.shelf.get("one") is not None:
                await it.clock.advance(0.5)
        assert it.store.refused == 0


async def test_a_watcher_hears_the_end_also_where_it_looks_at_an_older_state(
    tmp_path: Path,
) -> None:
    """The workflow ends while the store answers how it was before."""
    async with scene(tmp_path) as it:
        begun = course.begun("workflows/w", pb.WorkflowPlan(nodes=[undone("a")]), it.clock.now())
        begun.version = 1
        await it.shelf.create(begun)
        it.store.late = late = asyncio.Event()
        told: list[pb.Workflow] = []
        watching = Errands().start(it.watch("w", told))
        async with asyncio.timeout(10):
            await it.store.asked.wait()
            await it.running.resume()
            while it.running.get("w") is not None:
                await asyncio.to_thread(lambda: None)
            late.set()
            await watching
        assert (told[0].version, told[-1].state) == (1, pb.WORKFLOW_STATE_SUCCEEDED)
