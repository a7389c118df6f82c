"""Messages to the foreman and back. Contract: MachineService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from tandem.control.v1 import errors_pb2 as errors
from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import machine_service_pb2 as pb
from tandem.control.v1 import machine_service_pb2_grpc as rpc
from tandemkit.core.errors import CallerError
from tandemkit.machine.foreman import Ending, Foreman
from tandemkit.machine.orders import PlanUnusable
from tandemkit.rpc.context import Context
from tandemkit.supervise.ports import PortsTaken


class Supervision(rpc.MachineServiceServicer):
    def __init__(self, foreman: Foreman) -> None:
        self._foreman = foreman

    async def GetMachine(
        self, request: pb.GetMachineRequest, context: Context
    ) -> pb.GetMachineResponse:
        return pb.GetMachineResponse(machine=self._foreman.machine())

    async def WatchMachine(
        self, request: pb.WatchMachineRequest, context: Context
    ) -> AsyncIterator[pb.WatchMachineResponse]:
        async with aclosing(self._foreman.watch()) as told:
            async for machine in told:
                yield pb.WatchMachineResponse(machine=machine)

    async def ApplyPlan(
        self, request: pb.ApplyPlanRequest, context: Context
    ) -> pb.ApplyPlanResponse:
        wanted = nouns.WantedMachine(
            machine=self._foreman.wanted.machine,
            plan=request.plan,
            controls=request.controls,
            listen=request.listen,
            note=request.note,
        )
        try:
            changes = await self._foreman.apply(wanted)
        except PlanUnusable as error:
            reason = errors.ERROR_REASON_PLAN_REFUSED
            raise CallerError(reason, error.message, field="plan", **error.metadata) from error
        except PortsTaken as error:
            reason, why = errors.ERROR_REASON_PORT_TAKEN, str(error)
            raise CallerError(reason, "a range of ports is used up", why=why) from error
        except Ending as error:
            raise CallerError(errors.ERROR_REASON_MACHINE_ENDING, error.message) from error
        return pb.ApplyPlanResponse(generation=self._foreman.wanted.generation, changes=changes)

    async def ShutDown(self, request: pb.ShutDownRequest, context: Context) -> pb.ShutDownResponse:
        self._foreman.shut_down()
        return pb.ShutDownResponse()
