"""Messages to the foreman and back. Contract: MachineService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

from tandem.control.v1 import errors_pb2 as errors
from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import machine_service_pb2 as pb
from tandem.control.v1 import machine_service_pb2_grpc as rpc
from tandemkit.core.clock import Clock
from tandemkit.core.errors import CallerError, Failure, TransientError
from tandemkit.machine.aiming import GroupSharesHost, TargetUnknown, aimed
from tandemkit.machine.asking import HostRefused
from tandemkit.machine.commands import Command, Commands, HostDown
from tandemkit.machine.foreman import Ending, Foreman
from tandemkit.machine.logs import Log, Matches, about, everything
from tandemkit.machine.noting import Notes
from tandemkit.machine.orders import PlanUnusable, own_host
from tandemkit.reach.failure import Unreachable
from tandemkit.rpc.context import Context
from tandemkit.supervise.ports import PortsTaken

_RETRY_S = 1.0
_BOUND = "AGENT_BOUND_TO_HOST"


# One of them may have 64 KiB, and a message 4 MiB.
_LINES_MAX = 50


class Supervision(rpc.MachineServiceServicer):
    def __init__(
        self, foreman: Foreman, commands: Commands, notes: Notes, logs: Path, clock: Clock
    ) -> None:
        self._foreman, self._commands, self._notes = foreman, commands, notes
        self._logs, self._clock = logs, clock

    async def GetMachine(
        self, request: pb.GetMachineRequest, context: Context
    ) -> pb.GetMachineResponse:
        plan = self._foreman.wanted.plan
        return pb.GetMachineResponse(machine=self._foreman.machine(), plan=plan)

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
        self._notes.applied(self._foreman.wanted, changes, context.peer())
        return pb.ApplyPlanResponse(generation=self._foreman.wanted.generation, changes=changes)

    async def RunCommand(
        self, request: pb.RunCommandRequest, context: Context
    ) -> pb.RunCommandResponse:
        if self._foreman.is_ending:
            message = "the machine is on its way down"
            raise CallerError(errors.ERROR_REASON_MACHINE_ENDING, message)
        said = (request.verb, request.target, request.note, request.request_id, context.peer())
        try:
            done = await self._commands.run(Command(*said))
        except Failure as error:
            raise _refusal(error) from error
        return pb.RunCommandResponse(
            hosts=done.hosts, agents=done.agents, was_so_already=done.was_so_already
        )

    async def ShutDown(self, request: pb.ShutDownRequest, context: Context) -> pb.ShutDownResponse:
        if not self._foreman.is_ending:
            self._notes.shutting_down(request.note, context.peer())
        self._foreman.shut_down()
        return pb.ShutDownResponse()

    async def ReadLog(
        self, request: pb.ReadLogRequest, context: Context
    ) -> AsyncIterator[pb.ReadLogResponse]:
        try:
            host, matches = self._read(request.target)
        except Failure as error:
            raise _refusal(error) from error
        log = Log(self._logs / f"{host}.log")
        # A log of which few lines match is read as a whole.
        lines = await asyncio.to_thread(log.tail, request.lines_max, matches)
        for start in range(0, len(lines), _LINES_MAX):
            yield pb.ReadLogResponse(host=host, lines=lines[start : start + _LINES_MAX])
        if request.follow:
            async with aclosing(log.follow(self._clock, matches)) as written:
                async for more in written:
                    yield pb.ReadLogResponse(host=host, lines=more)

    async def RecordCheckpoint(
        self, request: pb.RecordCheckpointRequest, context: Context
    ) -> pb.RecordCheckpointResponse:
        said = request.taken if request.HasField("taken") else request.restored
        try:
            await self._notes.checkpointed(said, request.note, context.peer())
        except Unreachable as error:
            raise _refusal(error) from error
        return pb.RecordCheckpointResponse()

    def _read(self, target: str) -> tuple[str, Matches]:
        """Whose log, and which lines of it."""
        wanted = self._foreman.wanted
        own = own_host(wanted)
        if target in {own.name, *(one.name for one in own.agents)}:
            return own.name, everything
        aim = aimed(target, self._foreman.posts(), wanted.machine)
        if aim.hosts:
            return aim.hosts[0].name, everything
        post, name = aim.agents[0]
        service = next(one.service for one in post.order.planned.agents if one.name == name)
        return post.name, about(name, service)


def _refusal(error: Failure) -> Failure:
    """In the words of the contract; what is not in it is a defect, and stays one."""
    said = error.metadata
    if isinstance(error, TargetUnknown):
        return CallerError(errors.ERROR_REASON_TARGET_UNKNOWN, error.message, **said)
    if isinstance(error, GroupSharesHost):
        return CallerError(errors.ERROR_REASON_GROUP_SHARES_HOST, error.message, **said)
    if isinstance(error, HostRefused) and error.reason == _BOUND:
        return CallerError(errors.ERROR_REASON_AGENT_BOUND_TO_HOST, error.message, **said)
    if isinstance(error, HostRefused | HostDown):
        reason = errors.ERROR_REASON_HOST_SILENT
        return TransientError(reason, error.message, retry_after_s=_RETRY_S, **said)
    if isinstance(error, Unreachable):
        reason = errors.ERROR_REASON_COMMAND_UNRECORDED
        return TransientError(reason, error.message, retry_after_s=_RETRY_S, **said)
    return error
