"""One workflow on its way: what is due is written down, called, and its end written down.

A call is begun once its beginning is on disk, and an end that nobody wrote down is found out by
making the same call again, with the same key.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol

from google.rpc import code_pb2

from services.tasks.workflow import course, undoing
from services.tasks.workflow.shelf import OUTPUT_BYTES_MAX, Shelf
from services.tasks.workflow.wiring import Unwired, Wire, wired
from tandem.tasks.v1 import agent_call_pb2 as calls
from tandem.tasks.v1 import errors_pb2 as errors
from tandem.tasks.v1 import workflow_pb2 as pb
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.rpc import failure
from tandemkit.rpc.contract import Method
from tandemkit.supervise.alarm import Alarm, Turns
from tandemkit.supervise.tasks import Tasks

_LOGGER = logging.getLogger("services.tasks.workflow")
_PAUSE_S = 1.0
_UNKNOWN = errors.ERROR_REASON_METHOD_UNKNOWN


class Caller(Protocol):
    """`tandemkit.hosting.agent_caller.AgentCaller`, as far as it is needed here. All raise
    CallerError and TransientError.
    """

    async def check(
        self, call: calls.AgentCall, key: str, *, at_most_once: bool = False, complete: bool = True
    ) -> Method:
        """The call's method, if it can be called so."""

    async def method(self, call: calls.AgentCall) -> Method:
        """As the agent's contract has it."""

    async def call(self, call: calls.AgentCall, key: str) -> calls.AgentAnswer:
        """How the call ended."""


@dataclass(frozen=True, slots=True)
class Means:
    """What executions share: `seats` are for calls in progress."""

    shelf: Shelf
    caller: Caller
    clock: Clock
    seats: asyncio.Semaphore


class Execution:
    def __init__(self, workflow: pb.Workflow, outputs: dict[str, bytes], means: Means) -> None:
        self.workflow = workflow
        # As it is on disk: what callers see.
        self.told = pb.Workflow()
        self.told.CopyFrom(workflow)
        self._outputs, self._means = outputs, means
        # Of nodes that are done and not yet on disk as that.
        self._fresh: dict[str, bytes] = {}
        self._stir = asyncio.Event()
        self._turns = Turns()
        # Changes by callers: how many there were, and how many of them are on disk.
        self._asked = self._kept = 0

    async def run(self) -> None:
        """To its end. What is cancelled goes on in another life."""
        alarm = Alarm(self._means.clock, self._stir.set)
        try:
            async with Tasks() as tasks:
                while not await self._advance(tasks):
                    self._set(alarm)
                    await self._stir.wait()
        finally:
            await alarm.end()

    async def changed(self, version: int) -> None:
        """Returns once it has another version on disk."""
        while self.told.version == version:
            await self._turns.next()

    async def cancel(self, reason: str) -> None:
        """On disk when it returns."""
        if course.cancel(self.workflow, reason):
            self._asked += 1
            mine = self._asked
            self._stir.set()
            while self._kept < mine:
                await self._turns.next()

    async def _advance(self, tasks: Tasks) -> bool:
        """Whether it has ended."""
        self._stir.clear()
        now = self._means.clock.now()
        course.settle(self.workflow, now)
        begun = list(course.due(self.workflow, now))
        for node in begun:
            course.begin(self.workflow, node, now)
        await self._save()
        for node in begun:
            tasks.spawn(node.id, self._call(node))
        return course.has_ended(self.workflow)

    def _set(self, alarm: Alarm) -> None:
        at = course.next_time(self.workflow)
        if at is not None:
            clock = self._means.clock
            alarm.set_to(clock.monotonic_s() + max(0.0, (at - clock.now()).total_seconds()))

    async def _save(self) -> None:
        """Until the disk takes it: nothing goes on that might not be remembered."""
        asked, fresh = self._asked, self._fresh
        if self.workflow == self.told:
            self._kept = asked
            return
        self._fresh = {}
        self.workflow.version += 1
        now = pb.Workflow()
        now.CopyFrom(self.workflow)
        while True:
            try:
                await self._means.shelf.save(now, fresh)
            except (Unreachable, Refused) as error:
                said = {"workflow": now.name, "cause": str(error)}
                log.event(_LOGGER, logging.WARNING, "workflows.store_failed", **said)
                await self._means.clock.sleep(_PAUSE_S)
            else:
                break
        self._kept, self.told = asked, now
        self._turns.tell()

    async def _call(self, node: pb.NodeStanding) -> None:
        undone = node.state == pb.NODE_STATE_COMPENSATING
        async with self._means.seats:
            answer = await self._answer(node.id, undone=undone)
        if not undone and not answer.HasField("failure"):
            if len(answer.response) > OUTPUT_BYTES_MAX:
                message = f"the response is larger than {OUTPUT_BYTES_MAX} bytes, which are kept"
                answer = _failed(code_pb2.RESOURCE_EXHAUSTED, message)
            else:
                self._outputs[node.id] = self._fresh[node.id] = answer.response
        course.conclude(self.workflow, node, answer, self._means.clock.now())
        self._stir.set()

    async def _answer(self, node_id: str, *, undone: bool) -> calls.AgentAnswer:
        plan = course.plans_of(self.workflow)[node_id]
        standing = next(one for one in self.workflow.nodes if one.id == node_id)
        call, inputs = plan.call, plan.inputs
        key = standing.key
        if undone:
            call, inputs, key = plan.compensation, plan.compensation_inputs, undoing.key_of(key)
        try:
            if inputs:
                call = await self._wired(call, list(inputs))
            return await self._means.caller.call(call, key)
        except Unwired as error:
            return _failed(code_pb2.FAILED_PRECONDITION, f"{error}")
        except (CallerError, TransientError) as error:
            return _refused(error)

    async def _wired(self, call: calls.AgentCall, inputs: list[pb.NodeInput]) -> calls.AgentCall:
        caller = self._means.caller
        plans = course.plans_of(self.workflow)
        target = (await caller.method(call)).request
        wires = [Wire(one, (await caller.method(plans[one.node].call)).response) for one in inputs]
        return wired(call, target, wires, self._outputs)


def _refused(error: CallerError | TransientError) -> calls.AgentAnswer:
    """An agent that was known when the workflow began, and is not now, may come back."""
    refusal = failure.of_agent(error, errors.ErrorReason.DESCRIPTOR)
    answer = _failed(refusal.code.value[0], refusal.message)
    answer.failure.reason, answer.failure.domain = refusal.reason, refusal.domain
    answer.failure.may_retry = isinstance(error, TransientError) or error.reason == _UNKNOWN
    return answer


def _failed(code: int, message: str) -> calls.AgentAnswer:
    return calls.AgentAnswer(
        failure=calls.CallFailure(code=code_pb2.Code.Name(code), message=message)
    )
