"""The machine that an agent runs on, as its supervisor tells of it."""

from __future__ import annotations

from collections.abc import Callable

import grpc

from tandem.control.v1 import machine_pb2 as pb
from tandem.control.v1 import machine_service_pb2 as service
from tandem.control.v1 import machine_service_pb2_grpc as rpc
from tandem.fleet.v1.plan_pb2 import Plan, PlannedMachine
from tandemkit.hosting.scope import Scope
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.local import INSTANCE_HEADER
from tandemkit.rpc.remote import RemoteFailure

_SUPERVISOR = Contract.of(service.DESCRIPTOR).name.short
_PAUSE_S, _PAUSE_S_MAX = 1.0, 30.0


class WatchedMachine:
    """What was told last. `absent` is why nobody tells now, and empty where somebody does; what was
    told before stays, for hosts outlive their supervisor. The agent declares MachineService in its
    `soft_calls`.
    """

    def __init__(self, scope: Scope) -> None:
        self.stub: rpc.MachineServiceAsyncStub = scope.stub(rpc.MachineServiceStub)
        # Each machine's supervisor is an instance of its own; in a host by itself there is one.
        instance = f"{_SUPERVISOR}-{scope.where.machine}"
        self.headers = ((INSTANCE_HEADER, instance),) if scope.where.profile else ()
        self.machine, self.plan = pb.Machine(), Plan()
        self.absent = "no machine supervisor has answered yet"
        self._clock = scope.clock

    @property
    def planned(self) -> PlannedMachine:
        """Its part of the plan; empty where there is none."""
        found = (one for one in self.plan.machines if one.name == self.machine.name)
        return next(found, PlannedMachine(name=self.machine.name))

    async def follow(self, changed: Callable[[], None] = lambda: None) -> None:
        """Hears of each change, and fetches each new plan, until cancelled; without a supervisor it
        asks again and again, ever more rarely.
        """
        pause_s = _PAUSE_S
        while True:
            try:
                request = service.WatchMachineRequest()
                async for told in self.stub.WatchMachine(request, metadata=self.headers):
                    await self._take(told.machine)
                    changed()
                    pause_s = _PAUSE_S
                self.absent = "the machine's supervisor ended"
            except grpc.aio.AioRpcError as error:
                self.absent = RemoteFailure.of(error).message
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_S_MAX)

    async def _take(self, told: pb.Machine) -> None:
        if told.generation != self.machine.generation or not self.plan.machines:
            request = service.GetMachineRequest()
            self.plan = (await self.stub.GetMachine(request, metadata=self.headers)).plan
        self.machine, self.absent = told, ""
