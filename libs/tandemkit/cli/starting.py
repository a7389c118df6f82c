"""The steps of `up`: a supervisor is started or found, told what is wanted, and waited for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import grpc

from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import machine_service_pb2 as pb
from tandemkit.cli.boot import check_whole, free_port, start_supervisor
from tandemkit.cli.ending import end_by_hand, end_supervisor, undisturbed
from tandemkit.cli.following import answering, machines
from tandemkit.cli.output import EXIT_NO, Refusal
from tandemkit.cli.progress import Show
from tandemkit.cli.running import controls_of
from tandemkit.cli.signals import unless
from tandemkit.core.clock import SystemClock
from tandemkit.core.environment import Environment
from tandemkit.fleet.needs import REGISTRY
from tandemkit.machine.checkpoints.building import build_of, say_deployed
from tandemkit.machine.code import Code
from tandemkit.machine.home import Home
from tandemkit.machine.orders import planned_machine, serves
from tandemkit.machine.wording import last_line
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.supervise.detached import Detached
from tandemkit.supervise.marks import Mark

_ANSWERS_S, _STARTS_S, _LOOK_S = 10.0, 30.0, 0.02
_DEEDS = {nouns.DEED_START: "start", nouns.DEED_RESTART: "restart", nouns.DEED_STOP: "stop"}
# For a `down` until all hosts have drained.
_ENDS_S = 120.0
_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Start:
    """What is to be, as the options say."""

    wanted: nouns.WantedMachine
    # Of control, as it was asked for; empty: as planned.
    address: str
    detach: bool
    within_s: float
    # By a restore, which alone may while it is under way.
    restoring: bool = False


@dataclass(frozen=True, slots=True)
class Began:
    """What the supervisor is about to do. `attached`: it ran already."""

    attached: bool
    changes: Sequence[nouns.PlannedChange] = field(default=())

    @property
    def told(self) -> list[dict[str, str]]:
        """For programs: what is not left as it was."""
        return [
            {"host": one.host, "deed": _DEEDS[one.deed], "why": one.why}
            for one in self.changes
            if one.deed in _DEEDS
        ]


async def begin(
    environment: Environment, home: Home, start: Start, is_ours: Callable[[], None]
) -> Began:
    """Returns when a supervisor has what is wanted; Refusal where that does not come about. Calls
    `is_ours` before it starts a fleet that is to end with the command.
    """
    async with undisturbed(home, _ENDS_S):
        if not start.restoring:
            # Looked at again: one may have begun since, and has ended the fleet then.
            check_whole(home)
        began = await _begin(environment, home, start, is_ours)
        say_deployed(home, build_of(environment, start.wanted))
        return began


async def _begin(
    environment: Environment, home: Home, start: Start, is_ours: Callable[[], None]
) -> Began:
    if home.wanted is not None:
        _check_address(home, start)
    if _runs(home) and not await _is_of_older_code(home, environment):
        return await _apply(home, start)
    if home.wanted is None:
        wanted = _addressed(start)
        is_ours()
        home.want(wanted)
        home.own(None if start.detach else Mark.of(os.getpid()))
        if why := await _silence_of_new(home, environment):
            await end_by_hand(home)
            raise Refusal(f"the supervisor did not start: {why}.", EXIT_NO)
        return Began(attached=False)
    # Its hosts outlived it: they are taken over as they are, and then changed to what is wanted.
    attached = bool(home.owner and home.owner.look())
    if not attached:
        if not start.detach:
            is_ours()
        home.own(None if start.detach else Mark.of(os.getpid()))
    if why := await _silence_of_new(home, environment):
        await end_supervisor(home)
        message = f"the supervisor did not start: {why}; hosts that ran go on without one."
        raise Refusal(message, EXIT_NO)
    changed = await _apply(home, start)
    return Began(attached or start.detach, changes=changed.changes)


async def settled(home: Home, show: Show, within_s: float) -> nouns.Machine:
    """The machine once nothing is under way any more, or as it is when the time is over."""
    last: nouns.Machine | None = None
    try:
        async with asyncio.timeout(within_s):
            async for machine in machines(home):
                last = machine
                show(machine)
                if machine.settled:
                    return machine
    except TimeoutError:
        if last is not None:
            return last
    raise Refusal(f"the supervisor ended; {home.log} says why.", EXIT_NO)


async def over(home: Home) -> None:
    """Returns when the fleet of the home is gone."""
    async for _ in machines(home):
        pass


def lacking(machine: nouns.Machine) -> list[nouns.HostStanding]:
    """Hosts that do not serve all that they should."""
    return [one for one in machine.hosts if one.state != nouns.HOST_STATE_SERVING]


def _runs(home: Home) -> bool:
    """Whether there is one that supervises, or somebody who starts it again."""
    return any(mark is not None and mark.look() for mark in (home.supervisor, home.keeper))


async def _is_of_older_code(home: Home, environment: Environment) -> bool:
    """Whether the supervisor runs the kit of before an edit: it is ended then, and its hosts are
    not. Refusal where it is of another release.
    """
    ours = Code(environment.root, environment.stubs).version
    try:
        async with answering(home) as stub:
            request = pb.GetMachineRequest()
            told = await stub.GetMachine(request, timeout=_ANSWERS_S, wait_for_ready=True)
    except grpc.aio.AioRpcError:
        # Who asks for more hears why.
        return False
    theirs = told.machine.version
    if theirs == ours:
        return False
    if theirs.partition("+")[0] != ours.partition("+")[0]:
        message = (
            f"the fleet of {home.folder} is of version {theirs}, and this checkout of {ours}: "
            "./tandem down ends it, and then ./tandem up starts this one."
        )
        raise Refusal(message, EXIT_NO)
    await end_supervisor(home)
    return True


async def _apply(home: Home, start: Start) -> Began:
    wanted = start.wanted
    request = pb.ApplyPlanRequest(plan=wanted.plan, note=wanted.note, listen=wanted.listen)
    try:
        async with answering(home) as stub:
            told = await stub.ApplyPlan(request, timeout=_ANSWERS_S, wait_for_ready=True)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            message = "the supervisor does not answer; ./tandem down ends it, frozen or not."
            raise Refusal(message, EXIT_NO) from error
        raise Refusal(f"{RemoteFailure.of(error).message}.", EXIT_NO) from error
    return Began(attached=True, changes=tuple(told.changes))


def _addressed(start: Start) -> nouns.WantedMachine:
    """Control where it was asked for. A port that is taken is refused here, for nobody would look
    for control at another.
    """
    wanted = nouns.WantedMachine()
    wanted.CopyFrom(start.wanted)
    if start.address:
        wanted.listen, port = free_port(start.address, "--address")
        for host in planned_machine(wanted).hosts:
            if serves(host, REGISTRY):
                host.grpc_port = port
    return wanted


def _check_address(home: Home, start: Start) -> None:
    """Refusal where control is to be elsewhere than it is: those who call it would not follow."""
    known = controls_of(home.folder)[0]
    port = start.address.rpartition(":")[2]
    # Where it listens may differ from where callers find it, but for the port.
    if port not in {"", "0", known.rpartition(":")[2]}:
        message = (
            f"the fleet of {home.folder} has its control at {known}: "
            "./tandem down ends it, and then --address counts."
        )
        raise Refusal(message)


async def _silence_of_new(home: Home, environment: Environment) -> str:
    """Starts a supervisor. Returns when it takes calls, or why it does not."""
    began = home.log.stat().st_size if home.log.exists() else 0
    process = Detached.found(start_supervisor(home, environment))
    if process is not None:
        try:
            why = await unless(process.wait(), _silence(home))
        finally:
            process.let_go()
        if why is not None:
            return why
    with home.log.open("rb") as log:
        log.seek(began)
        return last_line(log.read().decode(errors="replace")) or "it says nothing"


async def _silence(home: Home) -> str:
    """Why it does not answer; empty once it does. Where it answers at its port, it first has to
    write down which.
    """
    while home.supervisor is None:
        await _CLOCK.sleep(_LOOK_S)
    try:
        async with answering(home) as stub:
            request = pb.GetMachineRequest()
            await stub.GetMachine(request, wait_for_ready=True, timeout=_STARTS_S)
    except grpc.aio.AioRpcError as error:
        return RemoteFailure.of(error).message
    return ""
