"""The machine supervisor of this home, as commands reach it: by its socket, which only the user
whose fleet it is may open.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click
import grpc

from tandem.control.v1 import machine_service_pb2_grpc as rpc
from tandemkit.cli import completing
from tandemkit.cli.credential import shown_at
from tandemkit.cli.failure import describe
from tandemkit.cli.fleet_view import agents_at, supervisor_of
from tandemkit.cli.output import EXIT_NO, Refusal, near
from tandemkit.cli.running import controls_of, supervisor_at
from tandemkit.core.clock import Clock, SystemClock
from tandemkit.core.environment import Environment
from tandemkit.machine.home import Home

ANSWER_WITHIN_S = 3.0
# A keeper starts a supervisor again that was killed: its socket is back within about a second.
_BACK_WITHIN_S = 3.0
_LOOK_S = 0.05
_CREDENTIALS = struct.Struct("3i")
_CLOCK = SystemClock()
_ENDED = "the machine supervisor ended during the call; ./tandem status says what is."


class Absent(Refusal):
    """There is no supervisor: nothing runs, or it died."""


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Who listens: `pid` is 0 where it is not told, as behind a port."""

    address: str
    pid: int = 0

    def silent(self) -> Refusal:
        """It takes connections and answers nothing."""
        within = "does not answer in time"
        if not self.pid:
            where = f"the machine supervisor at {self.address}"
            return Refusal(f"{where} {within}: it is frozen, or cannot be reached.", EXIT_NO)
        return Refusal(
            f"the machine supervisor (pid {self.pid}) {within}, so it is frozen or starved; where "
            f"its keeper does not replace it: kill -9 {self.pid}, then ./tandem up.",
            EXIT_NO,
        )

    @staticmethod
    def has_ended(refusal: Refusal) -> bool:
        """Whether it went away, and may be back soon."""
        return refusal.message == _ENDED

    def refuse(self, error: grpc.RpcError) -> NoReturn:
        """What a failed call to it means."""
        told = describe(error)
        if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
            raise self.silent() from error
        if error.code() == grpc.StatusCode.UNAVAILABLE and not told.reason:
            raise Refusal(_ENDED, EXIT_NO) from error
        raise Refusal(told.as_text(), EXIT_NO) from error


async def supervisor_on(environment: Environment, machine: str | None) -> Supervisor:
    """That of another machine, which control knows; None is the one of this home."""
    if machine is None:
        return await find(environment)
    control = controls_of(environment.home)[0]
    try:
        agents = await agents_at(control)
    except grpc.RpcError as error:
        message = f"control at {control}: {describe(error).as_text()}"
        raise Refusal(message, EXIT_NO) from error
    if target := supervisor_of(agents, machine):
        return Supervisor(target)
    known = {one.machine for agent in agents for one in agent.instances}
    raise Refusal(f"no supervisor is known on machine {machine!r}{near(machine, known)}", EXIT_NO)


async def find(environment: Environment, clock: Clock = _CLOCK) -> Supervisor:
    """The supervisor of this home; Refusal with what is in its place."""
    home = environment.home
    path = Home(home).socket
    if path is None:
        return _by_note(home)
    until_s = clock.monotonic_s() + _BACK_WITHIN_S
    while True:
        try:
            return Supervisor(f"unix:{path}", _listener(path))
        except FileNotFoundError as error:
            raise _nothing(home) from error
        except PermissionError as error:
            raise _foreign(home) from error
        except ConnectionRefusedError as error:
            if clock.monotonic_s() >= until_s:
                message = f"the fleet of {home} has died; ./tandem up starts it again."
                raise Absent(message, EXIT_NO) from error
        except TimeoutError as error:
            # Whoever listens does not even take connections any more.
            raise Supervisor(f"unix:{path}").silent() from error
        await clock.sleep(_LOOK_S)


def _nothing(home: Path) -> Absent:
    return Absent(f"nothing runs here ({home}); start the fleet with ./tandem up.", EXIT_NO)


def _by_note(home: Path) -> Supervisor:
    """Of a home whose path has no room for a socket."""
    address = supervisor_at(home)
    if not address:
        raise _nothing(home)
    return Supervisor(address)


def _listener(path: Path) -> int:
    """The process that listens at a socket; OSError where none does that we may ask."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(ANSWER_WITHIN_S)
        probe.connect(str(path))
        told = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, user, _group = _CREDENTIALS.unpack(told)
    if user not in {os.geteuid(), 0} and os.geteuid() != 0:
        raise PermissionError(path)
    return int(pid)


def _foreign(home: Path) -> Refusal:
    """Another user's; said with the name that has it."""
    owner = next((one.stat().st_uid for one in (home, *home.parents) if _visible(one)), 0)
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:  # a container's user need not have a name
        name = f"user {owner}"
    return Refusal(f"{home} belongs to {name}; TANDEM_HOME names a home of your own.", EXIT_NO)


def _visible(path: Path) -> bool:
    try:
        path.stat()
    except OSError:
        return False
    return True


on_machine = click.option(
    "--machine",
    help="Another machine of the fleet (default: this one).",
    shell_complete=completing.machines,
)


@asynccontextmanager
async def linked(supervisor: Supervisor) -> AsyncIterator[Any]:
    """A stub of it. A call that it refuses is a no, with its reason."""
    async with shown_at(supervisor.address, Environment.read()) as channel:
        try:
            yield rpc.MachineServiceStub(channel)
        except grpc.RpcError as error:
            supervisor.refuse(error)
