"""How a fleet ends on this machine: by its supervisor, or without one that is dead or frozen."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import click
import grpc

from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import machine_service_pb2 as pb
from tandemkit.cli.boot import note
from tandemkit.cli.following import answering, machines
from tandemkit.cli.locks import alone
from tandemkit.cli.signals import unless
from tandemkit.core.clock import Clock, SystemClock
from tandemkit.core.token import TokenRefused
from tandemkit.machine.home import Home
from tandemkit.machine.post import DRAIN_S, END_S
from tandemkit.machine.record import Record, record_path, records
from tandemkit.supervise.detached import Detached
from tandemkit.supervise.marks import Mark

_ANSWER_S = 3.0
_EXIT_S = 5.0
# For an `up` until its supervisor answers, or has failed to.
_BEGUN_S = 45.0
_LOOK_S, _DESERTED_LOOKS = 0.5, 6
_CLOCK = SystemClock()
Tell = Callable[[nouns.Machine], None]


@dataclass
class Ended:
    """What `down` ended: names of hosts, and what else."""

    hosts: list[str] = field(default_factory=list)
    # Whether there was one.
    supervisor: bool = False
    # Why it went past the supervisor; empty where it did not.
    without_supervisor: str = ""
    killed: list[str] = field(default_factory=list)


@asynccontextmanager
async def undisturbed(home: Home, within_s: float) -> AsyncIterator[None]:
    """While no other command begins or ends this fleet: one would end what the other one starts.
    Who has waited for so long goes on all the same, for the other one may be frozen.
    """
    async with AsyncExitStack() as held:
        if home.run.is_dir():
            with suppress(OSError):
                async with asyncio.timeout(within_s):
                    await held.enter_async_context(alone(home.run / "command.lock", _waiting))
        yield


def _waiting() -> None:
    click.echo("tandem: another command starts or ends this fleet; waiting for it.", err=True)


async def end_fleet(home: Home, tell: Tell, why: str) -> Ended:
    """Returns when nothing of it is left. Harmless where nothing runs."""
    async with undisturbed(home, _BEGUN_S):
        return await _end(home, tell, why)


async def _end(home: Home, tell: Tell, why: str) -> Ended:
    ended = Ended()
    running = [name for name, one in records(home.hosts).items() if one.mark.look()]
    supervisor = home.supervisor
    look = supervisor.look() if supervisor else None
    ended.supervisor = look is not None
    if supervisor is not None and look is not None and not look.is_frozen:
        if await _asked(home, tell, why):
            ended.hosts = running
            await _gone(supervisor)
            return ended
        ended.without_supervisor = "it did not answer"
    elif look is not None:
        ended.without_supervisor = "it was frozen"
    elif running:
        ended.without_supervisor = "it was dead"
    return await end_by_hand(home, ended)


async def _asked(home: Home, tell: Tell, why: str) -> bool:
    try:
        async with answering(home) as stub:
            request = pb.ShutDownRequest(note=note(why))
            await stub.ShutDown(request, timeout=_ANSWER_S, wait_for_ready=True)
    except (grpc.aio.AioRpcError, TokenRefused, FileNotFoundError):
        return False

    async def follow() -> None:
        async for machine in machines(home):
            tell(machine)

    await unless(_deserted(home), follow())
    return home.supervisor is None


async def _deserted(home: Home, clock: Clock = _CLOCK) -> None:
    """Returns when neither the supervisor nor who starts it again has run for some looks."""
    looks = 0
    while looks < _DESERTED_LOOKS:
        await clock.sleep(_LOOK_S)
        seen = [mark.look() for mark in (home.supervisor, home.keeper) if mark is not None]
        looks = 0 if any(one and not one.is_frozen for one in seen) else looks + 1


async def _gone(mark: Mark) -> None:
    """The supervisor has nothing left to do, and ends by itself."""
    process = Detached.found(mark)
    if process is not None:
        try:
            async with asyncio.timeout(_EXIT_S):
                await process.wait()
        except TimeoutError:
            await process.kill()
        finally:
            process.let_go()


async def end_by_hand(home: Home, ended: Ended | None = None) -> Ended:
    """The supervisor first, then the hosts, last layer first."""
    ended = ended or Ended()
    await end_supervisor(home)
    if home.socket is not None:
        # Who finds one takes the fleet for dead, and not for ended.
        home.socket.unlink(missing_ok=True)
    left = records(home.hosts)
    for layer in sorted({one.layer for one in left.values()}, reverse=True):
        together = {name: one for name, one in left.items() if one.layer == layer}
        results = await asyncio.gather(*(_stopped(one) for one in together.values()))
        for name, was_killed in zip(together, results, strict=True):
            record_path(home.hosts, name).unlink(missing_ok=True)
            if was_killed is not None:
                ended.hosts.append(name)
            if was_killed:
                ended.killed.append(name)
    home.forget()
    return ended


async def end_supervisor(home: Home) -> None:
    """With its keeper, which would start another one, and without its hosts."""
    await _killed(home.keeper)
    # Read behind the keeper's end: until then it may start another one.
    await _killed(home.supervisor)


async def _killed(mark: Mark | None) -> None:
    if mark is not None and (process := Detached.found(mark)):
        process.signal(signal.SIGKILL)
        await process.wait()


async def _stopped(record: Record) -> bool | None:
    """Whether it had to be killed; None where it was gone already."""
    process = Detached.found(record.mark)
    return None if process is None else await process.stop(DRAIN_S + END_S)
