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
from services.platform.resource.scene import Scene, Sight
from services.platform.resource.servicer import Resources
from services.platform.resource.strain import Limits
from tandem.control.v1 import machine_pb2 as control
from tandem.control.v1 import machine_service_pb2 as machine_pb
from tandem.control.v1 import machine_service_pb2_grpc as machine_rpc
from tandem.control.v1 import traffic_policy_pb2 as policy
from tandem.platform.config.v1 import resource_pb2 as cfg
from tandem.platform.v1 import resource_service_pb2 as pb
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.local import INSTANCE_HEADER
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.sqlite import sqlite_state
from tandemkit.telemetry.gpus import board

_SUPERVISOR = Contract.of(machine_pb.DESCRIPTOR).name.short
_PAUSE_S, _PAUSE_S_MAX = 1.0, 30.0
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
            state, sight = State(store), Sight()
            grants = Grants(capacity, state, scope.clock)
            stack.callback(grants.close)
            machine = StubbedMachine(scope, grants, sight)
            guard = Guard(machine, Measured(limits).strain, state, scope.clock)
            await grants.restore()
            await guard.restore()
            scope.ready_when(lambda: store.get("probe"))
            scope.spawn("expire", grants.expire())
            scope.spawn("watch", machine.watch())
            scope.spawn("guard", _guarding(guard, sight, limits, scope.clock))
            yield Resources(grants, gpus, guard, sight)


class StubbedMachine:
    """The machine's supervisor behind its stub, and what it tells."""

    def __init__(self, scope: Scope, grants: Grants, sight: Sight) -> None:
        self._stub: machine_rpc.MachineServiceAsyncStub
        self._stub = scope.stub(machine_rpc.MachineServiceStub)
        self._grants, self._sight = grants, sight
        self._clock, self._author = scope.clock, scope.name
        # Each machine's supervisor is an instance of its own; in a host by itself there is one.
        instance = f"{_SUPERVISOR}-{scope.where.machine}"
        self._headers = ((INSTANCE_HEADER, instance),) if scope.where.profile else ()

    async def suspend(self, agent: str, why: str) -> None:
        await self._command(control.VERB_SUSPEND, agent, why)

    async def resume(self, agent: str, why: str) -> None:
        await self._command(control.VERB_RESUME, agent, why)

    async def watch(self) -> None:
        """Takes over each plan that comes into force, until cancelled. Without a supervisor the
        books go on as they are.
        """
        pause_s = _PAUSE_S
        while True:
            try:
                request = machine_pb.WatchMachineRequest()
                async for told in self._stub.WatchMachine(request, metadata=self._headers):
                    await self._take(told.machine)
                    pause_s = _PAUSE_S
                self._sight.absent = "the machine's supervisor ended"
            except grpc.aio.AioRpcError as error:
                self._sight.absent = RemoteFailure.of(error).message
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_S_MAX)

    async def _take(self, told: control.Machine) -> None:
        before, plan = self._sight.scene, self._sight.scene.plan
        if before.machine.generation != told.generation or not plan.machines:
            request = machine_pb.GetMachineRequest()
            plan = (await self._stub.GetMachine(request, metadata=self._headers)).plan
        self._sight.scene, self._sight.absent = Scene(told, plan), ""
        if plan is not before.plan:
            self._grants.resize(planned(self._sight.scene.planned, self._sight.source))

    async def _command(self, verb: control.Verb.ValueType, agent: str, why: str) -> None:
        note = policy.ChangeNote(author=self._author, reason=why)
        request = machine_pb.RunCommandRequest(verb=verb, target=agent, note=note)
        try:
            await self._stub.RunCommand(request, metadata=self._headers)
        except grpc.aio.AioRpcError as error:
            refused = error.code() in _CERTAIN
            said = RemoteFailure.of(error).message
            raise (Refused if refused else Unknown)(said, agent=agent) from error


async def _guarding(guard: Guard, sight: Sight, limits: Limits, clock: Clock) -> None:
    while True:
        if not sight.absent:
            await guard.look(sight.scene, limits)
        await clock.sleep(limits.look_every_s)


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.ResourceSettings,
    soft_calls=(machine_pb.DESCRIPTOR,),
    build=build,
)
main = AGENT.main
