"""The machines of the fleet, as this agent asks them: all at once, and none waits for another."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

from google.rpc import code_pb2

from tandem.control.v1 import machine_pb2 as control
from tandem.platform.v1 import errors_pb2 as errors
from tandem.platform.v1 import system_service_pb2 as pb
from tandemkit.core.errors import CallerError, Failure, TransientError

_RETRY_S = 1.0
_NEAR_MAX = 3
# After these it is not known whether the machine did what it was asked for.
SILENT = frozenset({code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED, code_pb2.CANCELLED})


# A machine as its supervisor sees it, or what there is to say without one.
Seen: TypeAlias = control.Machine | pb.SystemMachine


class Refused(Failure):
    """A supervisor did not do what it was asked for, or did not answer; `code` is google.rpc's."""

    def __init__(
        self, code: code_pb2.Code.ValueType, reason: str, message: str, near: str = ""
    ) -> None:
        super().__init__(message, reason=reason)
        self.code, self.reason, self.near = code, reason, near


class Supervisors(Protocol):
    """One for each machine. Both calls to one raise Refused."""

    async def machines(self) -> Mapping[str, bool]:
        """The machines of the fleet, and whether the supervisor of each is in it. Raises Refused
        where nobody knows.
        """

    async def look(self, machine: str) -> control.Machine:
        """The machine as it is."""

    async def command(self, machine: str, request: pb.RunCommandRequest) -> pb.MachineOutcome:
        """Has it done there, once for each `request_id`."""


class Machines:
    """The fleet. Who is in it is known from the last time that somebody knew."""

    def __init__(self, supervisors: Supervisors) -> None:
        self._supervisors = supervisors
        self._known: Mapping[str, bool] = {}

    async def look(self, wanted: Sequence[str]) -> list[Seen]:
        """Each of them: as its supervisor sees it, or why that is not known."""
        known = await self._chosen(wanted)
        asked = (self._look(name, is_supervised=one) for name, one in known.items())
        return await asyncio.gather(*asked)

    async def command(self, request: pb.RunCommandRequest) -> list[pb.MachineOutcome]:
        """What comes of it on each machine that has the target, or does not answer and may have it.
        Raises CallerError where none has, TransientError where none answered.
        """
        known = await self._chosen(request.machines)
        asked = (self._command(name, request, is_supervised=one) for name, one in known.items())
        answers = await asyncio.gather(*asked)
        outcomes = [one for one in answers if isinstance(one, pb.MachineOutcome)]
        absent = [one for one in answers if isinstance(one, Refused)]
        if not outcomes:
            near = ", ".join(sorted({one.near for one in absent if one.near}))
            reason, message = errors.ERROR_REASON_TARGET_UNKNOWN, "no machine has such a target"
            raise CallerError(reason, message, field="target", name=request.target, near=near)
        if not absent and all(one.code in SILENT for one in outcomes):
            said = {one.machine: one.message for one in outcomes}
            raise _unreachable("no machine answered", **said)
        return outcomes

    async def _chosen(self, wanted: Sequence[str]) -> Mapping[str, bool]:
        try:
            self._known = await self._supervisors.machines()
        except Refused as error:
            if not self._known:
                raise _unreachable("nobody knows the machines", cause=error.message) from error
        for name in wanted:
            if name not in self._known:
                near = ", ".join(difflib.get_close_matches(name, self._known, n=_NEAR_MAX))
                reason, message = errors.ERROR_REASON_MACHINE_UNKNOWN, "there is no such machine"
                raise CallerError(reason, message, field="machines", name=name, near=near)
        return {name: self._known[name] for name in sorted(wanted or self._known)}

    async def _look(
        self, machine: str, *, is_supervised: bool
    ) -> control.Machine | pb.SystemMachine:
        try:
            if not is_supervised:
                raise _absent()
            return await self._supervisors.look(machine)
        except Refused as error:
            return pb.SystemMachine(name=machine, cause=error.message)

    async def _command(
        self, machine: str, request: pb.RunCommandRequest, *, is_supervised: bool
    ) -> pb.MachineOutcome | Refused:
        """Refused alone where the machine has no such target."""
        try:
            if not is_supervised:
                raise _absent()
            return await self._supervisors.command(machine, request)
        except Refused as error:
            if error.code == code_pb2.NOT_FOUND:
                return error
            return pb.MachineOutcome(
                machine=machine, code=error.code, reason=error.reason, message=error.message
            )


def _absent() -> Refused:
    return Refused(code_pb2.UNAVAILABLE, "", "its supervisor is not in the fleet")


def _unreachable(message: str, **said: object) -> TransientError:
    reason = errors.ERROR_REASON_FLEET_UNREACHABLE
    return TransientError(reason, message, retry_after_s=_RETRY_S, **said)
