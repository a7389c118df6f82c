"""Who has how much of this machine. Contract: tandem.platform.v1.ResourceService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import grpc

from services.platform.resource.capacity import planned
from services.platform.resource.files import standing_in
from services.platform.resource.grants import Grants
from services.platform.resource.guard import Guard, Refused
from services.platform.resource.measuring import Measured
from services.platform.resource.scene import Scene
from services.platform.resource.servicer import Resources
from services.platform.resource.strain import Limits
from tandem.control.v1 import machine_pb2 as control
from tandem.control.v1 import machine_service_pb2 as machine_pb
from tandem.control.v1 import traffic_policy_pb2 as policy
from tandem.platform.config.v1 import resource_pb2 as cfg
from tandem.platform.v1 import resource_service_pb2 as pb
from tandemkit.core.clock import Clock, until_next_s
from tandemkit.core.errors import Failure
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.machine.watched import WatchedMachine
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.sqlite import sqlite_state
from tandemkit.telemetry.gpus import board

_CODE = grpc.StatusCode
# With these a supervisor says that nothing was done.
_CERTAIN = frozenset({_CODE.NOT_FOUND, _CODE.FAILED_PRECONDITION, _CODE.INVALID_ARGUMENT})


class Unknown(Failure):
    """The machine's supervisor did not say whether it did what it was asked for."""


@asynccontextmanager
async def build(scope: Scope, settings: cfg.ResourceSettings) -> AsyncIterator[Resources]:
    capacity, limits = standing_in(settings), Limits.of(settings.pressure)
    with ExitStack() as stack:
        gpus = await asyncio.to_thread(stack.enter_context, board())
        # What this machine has is nobody else's business: not in the fleet's common store.
        async with sqlite_state(scope.state_dir / "grants.sqlite") as store:
            state, machine = State(store), WatchedMachine(scope)
            grants = Grants(capacity, state, scope.clock)
            stack.callback(grants.close)
            supervisor = StubbedSupervisor(machine, scope.name)
            guard = Guard(supervisor, Measured(limits).strain, state, scope.clock)
            await grants.restore()
            await guard.restore()
            scope.ready_when(lambda: store.get("probe"))
            scope.spawn("expire", grants.expire())
            scope.spawn("watch", machine.follow(Books(machine, grants).changed))
            scope.spawn("guard", _guarding(guard, machine, limits, scope.clock))
            yield Resources(grants, gpus, guard, machine)


class StubbedSupervisor:
    """The machine's supervisor behind its stub."""

    def __init__(self, machine: WatchedMachine, author: str) -> None:
        self._machine, self._author = machine, author

    async def suspend(self, agent: str, why: str) -> None:
        await self._command(control.VERB_SUSPEND, agent, why)

    async def resume(self, agent: str, why: str) -> None:
        await self._command(control.VERB_RESUME, agent, why)

    async def _command(self, verb: control.Verb.ValueType, agent: str, why: str) -> None:
        note = policy.ChangeNote(author=self._author, reason=why)
        request = machine_pb.RunCommandRequest(verb=verb, target=agent, note=note)
        try:
            await self._machine.stub.RunCommand(request, metadata=self._machine.headers)
        except grpc.aio.AioRpcError as error:
            refused = error.code() in _CERTAIN
            said = RemoteFailure.of(error).message
            raise (Refused if refused else Unknown)(said, agent=agent) from error


class Books:
    """Takes each plan that comes into force into the grants."""

    def __init__(self, machine: WatchedMachine, grants: Grants) -> None:
        self._machine, self._grants = machine, grants
        self._plan = machine.plan

    def changed(self) -> None:
        machine = self._machine
        if machine.plan is not self._plan:
            self._plan = machine.plan
            source = f"plan {machine.machine.generation} of {machine.plan.profile}"
            self._grants.resize(planned(machine.planned, source))


async def _guarding(guard: Guard, machine: WatchedMachine, limits: Limits, clock: Clock) -> None:
    while True:
        if not machine.absent:
            await guard.look(Scene(machine.machine, machine.planned), limits)
        await clock.sleep(until_next_s(clock, limits.look_every_s))


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.ResourceSettings,
    soft_calls=(machine_pb.DESCRIPTOR,),
    build=build,
)
main = AGENT.main
