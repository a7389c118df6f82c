"""All workflows that have not ended, and those that have, for a while."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine

from services.tasks.workflow import course, undoing
from services.tasks.workflow.execution import Execution, Means
from services.tasks.workflow.shelf import ended_key, id_of
from tandem.tasks.v1 import errors_pb2 as errors
from tandem.tasks.v1 import workflow_pb2 as pb
from tandemkit.core.errors import CallerError

Spawn = Callable[[str, Coroutine[object, object, None]], None]


class Running:
    def __init__(self, means: Means, spawn: Spawn, workflows_max: int, ended_max: int) -> None:
        self._means, self._spawn = means, spawn
        self._workflows_max, self._ended_max = workflows_max, ended_max
        self._open: dict[str, Execution] = {}
        self._ended: deque[str] = deque()
        self._has_ended = asyncio.Event()

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
                await self._means.shelf.forget(self._ended.popleft())
            self._has_ended.clear()
            await self._has_ended.wait()

    def get(self, name: str) -> Execution | None:
        """One that has not ended."""
        return self._open.get(name)

    async def start(self, workflow: pb.Workflow) -> pb.Workflow:
        """The workflow of that name: this one, or the one that there is."""
        name = id_of(workflow.name)
        if len(self._open) >= self._workflows_max:
            reason = errors.ERROR_REASON_WORKFLOWS_FULL
            message = "as many workflows run as the settings allow"
            raise CallerError(reason, message, workflows_max=self._workflows_max)
        workflow.version = 1
        if await self._means.shelf.create(workflow):
            await self._run(workflow)
            return workflow
        return await self._found(name) or workflow

    async def unstick(self, name: str) -> pb.Workflow | None:
        """Has a stuck one go on; None where it is not stuck."""
        workflow = await self._found(name)
        if workflow is None:
            return None
        ended = ended_key(workflow)
        if not undoing.unstick(workflow):
            return None
        workflow.version += 1
        await self._means.shelf.reopen(workflow, ended)
        if ended in self._ended:
            self._ended.remove(ended)
        await self._run(workflow)
        return workflow

    async def _found(self, name: str) -> pb.Workflow | None:
        execution = self._open.get(name)
        return execution.told if execution else await self._means.shelf.get(name)

    async def _run(self, workflow: pb.Workflow) -> None:
        name = id_of(workflow.name)
        outputs = await self._means.shelf.outputs(name)
        execution = Execution(workflow, outputs, self._means)
        self._open[name] = execution
        self._spawn(workflow.name, self._to_its_end(name, execution))

    async def _to_its_end(self, name: str, execution: Execution) -> None:
        try:
            await execution.run()
        finally:
            del self._open[name]
        self._ended.append(ended_key(execution.workflow))
        self._has_ended.set()
