"""All workflows that have not ended, and those that have, for a while."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import NoReturn

from services.tasks.workflow import course, undoing
from services.tasks.workflow.execution import Execution, Means
from services.tasks.workflow.shelf import ended_key, id_of
from tandem.tasks.v1 import errors_pb2 as errors
from tandem.tasks.v1 import workflow_pb2 as pb
from tandemkit.core import log
from tandemkit.core.errors import CallerError
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.supervise.alarm import Turns
from tandemkit.supervise.errands import Errands
from tandemkit.supervise.named_turns import NamedTurns

_LOGGER = logging.getLogger("services.tasks.workflow")
_PAUSE_S = 1.0
Spawn = Callable[[str, Coroutine[object, object, None]], None]


class Running:
    def __init__(self, means: Means, spawn: Spawn, workflows_max: int, ended_max: int) -> None:
        self._means, self._spawn = means, spawn
        self._workflows_max, self._ended_max = workflows_max, ended_max
        self._open: dict[str, Execution] = {}
        self._ended: deque[str] = deque()
        self._has_ended = asyncio.Event()
        self._errands = Errands()
        # Who opens a workflow does it alone.
        self._turns = NamedTurns()
        # Each ends with a workflow that runs, or runs no more.
        self.comings_and_goings = Turns()

    async def resume(self) -> None:
        """What an earlier life left."""
        self._ended.extend(await self._means.shelf.ended())
        async for workflow in self._means.shelf.open():
            course.resume(workflow)
            await self._run(workflow)

    async def forget(self) -> None:
        """What ended longest ago, where more is kept than may be, until cancelled."""
        while True:
            while len(self._ended) > self._ended_max:
                await self._forgotten(self._ended.popleft())
            self._has_ended.clear()
            await self._has_ended.wait()

    def get(self, name: str) -> Execution | None:
        """One that has not ended."""
        return self._open.get(name)

    async def start(self, workflow: pb.Workflow) -> pb.Workflow:
        """The workflow of that name: this one, or the one that there is."""
        # Also where its caller hangs up: nobody else would run what is on disk.
        return await self._errands.finished(self._started(workflow)) or workflow

    async def unstick(self, name: str) -> pb.Workflow | None:
        """Has a stuck one go on; None where it is not stuck."""
        return await self._errands.finished(self._unstuck(name))

    async def end(self) -> None:
        """Nothing is opened any more."""
        await self._errands.end(grace_s=0)

    async def _started(self, workflow: pb.Workflow) -> pb.Workflow | None:
        name = id_of(workflow.name)
        async with self._turns.of(name):
            if len(self._open) >= self._workflows_max:
                return await self._found(name) or self._full()
            workflow.version = 1
            if await self._means.shelf.create(workflow):
                return await self._run(workflow)
            found = await self._found(name)
            if found is None or name in self._open or course.has_ended(found):
                return found
            # It was written by somebody whom the store told nothing.
            return await self._run(found)

    async def _unstuck(self, name: str) -> pb.Workflow | None:
        async with self._turns.of(name):
            workflow = await self._found(name)
            if workflow is None:
                return None
            if name in self._open:
                return workflow if workflow.state == pb.WORKFLOW_STATE_COMPENSATING else None
            ended = ended_key(workflow)
            if not undoing.unstick(workflow):
                return None
            workflow.version += 1
            await self._means.shelf.reopen(workflow, ended)
            if ended in self._ended:
                self._ended.remove(ended)
            return await self._run(workflow)

    def _full(self) -> NoReturn:
        reason = errors.ERROR_REASON_WORKFLOWS_FULL
        message = "as many workflows run as the settings allow"
        raise CallerError(reason, message, workflows_max=self._workflows_max)

    async def _forgotten(self, ended: str) -> None:
        """However long the store is away."""
        while True:
            try:
                return await self._means.shelf.forget(ended)
            except (Unreachable, Refused) as error:
                said = {"workflow": ended.rpartition("/")[2], "cause": str(error)}
                log.event(_LOGGER, logging.WARNING, "workflows.store_failed", **said)
                await self._means.clock.sleep(_PAUSE_S)

    async def _found(self, name: str) -> pb.Workflow | None:
        execution = self._open.get(name)
        return execution.told if execution else await self._means.shelf.get(name)

    async def _run(self, workflow: pb.Workflow) -> pb.Workflow:
        """As it is on disk."""
        name = id_of(workflow.name)
        outputs = await self._means.shelf.outputs(name)
        execution = Execution(workflow, outputs, self._means)
        self._open[name] = execution
        self.comings_and_goings.tell()
        told = execution.told
        self._spawn(workflow.name, self._to_its_end(name, execution))
        return told

    async def _to_its_end(self, name: str, execution: Execution) -> None:
        try:
            await execution.run()
        finally:
            del self._open[name]
            self.comings_and_goings.tell()
        self._ended.append(ended_key(execution.workflow))
        self._has_ended.set()
