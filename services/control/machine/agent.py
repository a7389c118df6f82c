"""Starts the hosts of one machine, watches them, starts them again and ends them. Contract:
tandem.control.v1.MachineService.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.control.machine.servicer import Supervision
from tandem.control.config.v1 import machine_pb2 as cfg
from tandem.control.v1 import machine_service_pb2 as pb
from tandemkit.core.environment import Environment
from tandemkit.core.errors import Bug
from tandemkit.core.token import Token
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.machine.code import Code
from tandemkit.machine.foreman import Foreman, Identity
from tandemkit.machine.home import Home
from tandemkit.machine.launching import Ground
from tandemkit.machine.news import News
from tandemkit.machine.sight import HostWatching
from tandemkit.machine.upkeep import Upkeep
from tandemkit.supervise.detached import Detached, Program
from tandemkit.supervise.marks import Mark


@asynccontextmanager
async def build(scope: Scope, settings: cfg.MachineSettings) -> AsyncIterator[Supervision]:
    environment = Environment.read()
    home = Home(Path(settings.home) if settings.home else environment.home)
    wanted, mark = home.wanted, Mark.of(os.getpid())
    if wanted is None or mark is None or home.supervisor != mark:
        message = "this process is no supervisor: `python -m tandemkit.machine` starts one"
        raise Bug(message, home=home.folder)
    news = News()
    watching = HostWatching(scope.clock, Token.kept(home.token))
    ground = Ground(home, scope.clock, watching, environment.variables, news.tell)
    code = Code(environment.root, environment.stubs)
    itself = Program((sys.executable, *sys.orig_argv[1:]), home.log, environment.variables)

    def end() -> None:
        upkeep.dismiss()
        signal.raise_signal(signal.SIGTERM)

    identity = Identity(mark.pid, code.version, scope.clock.now())
    foreman = Foreman(ground, news, code, identity, end)
    upkeep = Upkeep(home, mark, itself, foreman.posts)
    foreman.begin(wanted)
    scope.spawn("upkeep", upkeep.run(scope.clock))
    scope.spawn("owner", _end_with_owner(home, foreman))
    try:
        yield Supervision(foreman)
    finally:
        await foreman.leave()


async def _end_with_owner(home: Home, foreman: Foreman) -> None:
    """A fleet in the foreground ends with the command that started it, however that ended."""
    owner = home.owner
    if owner is None:
        return
    command = Detached.found(owner)
    if command is not None:
        try:
            await command.wait()
        finally:
            command.let_go()
    if home.owner == owner:
        foreman.shut_down()


AGENT = Agent(contract=pb.DESCRIPTOR, settings=cfg.MachineSettings, build=build)
main = AGENT.main
