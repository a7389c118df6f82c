"""How a fleet ends on this machine: by its supervisor, or without one that is dead or frozen."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc

from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import machine_service_pb2 as pb
from tandemkit.cli.boot import note
from tandemkit.cli.following import answering, machines
from tandemkit.machine.home import Home
from tandemkit.machine.post import DRAIN_S, END_S
from tandemkit.machine.record import Record, record_path, records
from tandemkit.supervise.detached import Detached
from tandemkit.supervise.marks import Mark

_ANSWER_S = 3.0
_EXIT_S = 5.0
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


async def end_fleet(home: Home, tell: Tell, why: str) -> Ended:
    """Returns when nothing of it is left. Harmless where nothing runs."""
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
    except grpc.aio.AioRpcError:
        return False
    async for machine in machines(home):
        tell(machine)
    return True


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
    for mark in (home.keeper, home.supervisor):
        if mark is not None and (process := Detached.found(mark)):
            process.signal(signal.SIGKILL)
            await process.wait()


async def _stopped(record: Record) -> bool | None:
    """Whether it had to be killed; None where it was gone already."""
    process = Detached.found(record.mark)
    return None if process is None else await process.stop(DRAIN_S + END_S)
