"""Workflows in a store of state. The plan, which may be large, is written once; what changes is
written with the outputs that it rests on, all or nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from services.tasks.workflow.course import PREFIX, has_ended, moment
from tandem.tasks.v1 import workflow_pb2 as pb
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.protocol import Change, VersionConflict

_PLANS, _OUTPUTS, _OPEN, _ENDED = "plans/", "outputs/", "open/", "ended/"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# Of the 1 MiB that a value may have, with room for what the plan is not.
PLAN_BYTES_MAX: Final = 512 * 1024
OUTPUT_BYTES_MAX: Final = 1000 * 1024
_CHANGES_MAX: Final = 90
_PART: Final = 50


class Shelf:
    """Raises what the store raises."""

    def __init__(self, state: State) -> None:
        self._state, self._store = state, state.store

    async def create(self, workflow: pb.Workflow) -> bool:
        """False where there is one of that name."""
        name = id_of(workflow.name)
        changes = [
            Change(workflow.name, _standing(workflow), 0),
            Change(_PLANS + name, workflow.plan.SerializeToString(deterministic=True)),
            Change(_OPEN + name, b""),
        ]
        try:
            await self._store.write(changes)
        except VersionConflict:
            return False
        return True

    async def get(self, name: str) -> pb.Workflow | None:
        found = await self._state.get(PREFIX + name, pb.Workflow)
        plan = await self._state.get(_PLANS + name, pb.WorkflowPlan)
        if found is None or plan is None:
            return None
        found.plan.CopyFrom(plan)
        return found

    async def save(self, workflow: pb.Workflow, outputs: Mapping[str, bytes]) -> None:
        """As it stands, with outputs that are new; where those are many, they come first."""
        name = id_of(workflow.name)
        kept = [
            Change(_output(name, node), pb.NodeOutput(response=one).SerializeToString())
            for node, one in outputs.items()
        ]
        while len(kept) > _CHANGES_MAX:
            await self._store.write(kept[:_CHANGES_MAX])
            del kept[:_CHANGES_MAX]
        kept.append(Change(workflow.name, _standing(workflow)))
        if has_ended(workflow):
            kept += [Change(_OPEN + name, None), Change(ended_key(workflow), b"")]
        await self._store.write(kept)

    async def reopen(self, workflow: pb.Workflow, ended: str) -> None:
        """One that goes on; `ended` is what it was listed under."""
        opened = Change(_OPEN + id_of(workflow.name), b"")
        changes = [Change(workflow.name, _standing(workflow)), opened, Change(ended, None)]
        await self._store.write(changes)

    async def outputs(self, name: str) -> dict[str, bytes]:
        prefix = f"{_OUTPUTS}{name}/"
        return {
            key.removeprefix(prefix): one.response
            async for key, one in self._state.all(prefix, pb.NodeOutput)
        }

    async def output(self, name: str, node: str) -> bytes | None:
        found = await self._state.get(_output(name, node), pb.NodeOutput)
        return found.response if found is not None else None

    async def open(self) -> AsyncIterator[pb.Workflow]:
        """Those that have not ended."""
        async for key, _ in self._state.all(_OPEN, pb.NodeOutput):
            workflow = await self.get(key.removeprefix(_OPEN))
            if workflow is not None:
                yield workflow

    async def ended(self) -> list[str]:
        """What ended workflows are listed under, the oldest first."""
        return [key async for key, _ in self._state.all(_ENDED, pb.NodeOutput)]

    async def forget(self, ended: str) -> None:
        """One that has ended, with all that is kept of it."""
        name = ended.rpartition("/")[2]
        keys = [_output(name, node) for node in await self.outputs(name)]
        keys += [_PLANS + name, PREFIX + name, ended]
        for start in range(0, len(keys), _CHANGES_MAX):
            part = keys[start : start + _CHANGES_MAX]
            await self._store.write([Change(key, None) for key in part])

    async def page(self, prefix: str, after: str, limit: int) -> list[pb.Workflow]:
        """Those whose ids begin so and stand behind `after`, without their plans."""
        behind = PREFIX + after if after else ""
        found = await self._store.entries(PREFIX + prefix, behind, min(limit, _PART))
        return [pb.Workflow.FromString(one.stored.content) for one in found]


def id_of(name: str) -> str:
    return name.removeprefix(PREFIX)


def ended_key(workflow: pb.Workflow) -> str:
    """What it is listed under, once it has ended."""
    at = (moment(workflow.end_time) - _EPOCH) // _MICROSECOND
    return f"{_ENDED}{at:018}/{id_of(workflow.name)}"


def _output(name: str, node: str) -> str:
    return f"{_OUTPUTS}{name}/{node}"


def _standing(workflow: pb.Workflow) -> bytes:
    kept = pb.Workflow()
    kept.CopyFrom(workflow)
    kept.ClearField("plan")
    return kept.SerializeToString(deterministic=True)
