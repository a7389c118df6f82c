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
from tandem.platform.v1 import event_store_service_pb2 as events
from tandem.platform.v1 import event_store_service_pb2_grpc as events_rpc
from tandemkit.core.clock import until_next_s
from tandemkit.core.environment import Environment
from tandemkit.core.errors import Bug
from tandemkit.core.token import Token
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.child_events import Origin
from tandemkit.hosting.oversight import USAGE_S_MAX
from tandemkit.hosting.recording import RecordingSink, recording
from tandemkit.hosting.scope import Scope
from tandemkit.machine.asking import Asking
from tandemkit.machine.code import Code
from tandemkit.machine.commands import Commands
from tandemkit.machine.foreman import Foreman, Identity
from tandemkit.machine.home import Home
from tandemkit.machine.hosts_face import HOSTS_PAGE, HostsFace
from tandemkit.machine.launching import Ground
from tandemkit.machine.news import News
from tandemkit.machine.noting import Notes
from tandemkit.machine.secret_keeping import SecretKeeping
from tandemkit.machine.sight import HostWatching
from tandemkit.machine.upkeep import Upkeep
from tandemkit.machine.vigilance import Vigilance
from tandemkit.supervise.alarm import Alarm
from tandemkit.supervise.detached import Detached, Program
from tandemkit.supervise.marks import Mark
from tandemkit.supervise.reports import LogSink, Sinks


@asynccontextmanager
async def build(scope: Scope, settings: cfg.MachineSettings) -> AsyncIterator[Supervision]:
    environment = Environment.read()
    home = Home(Path(settings.home) if settings.home else environment.home)
    wanted, mark = home.wanted, Mark.of(os.getpid())
    if wanted is None or mark is None or home.supervisor != mark:
        message = "this process is no supervisor: `python -m tandemkit.machine` starts one"
        raise Bug(message, home=home.folder)
    news = News()
    token = Token.kept(home.token)
    watching = HostWatching(scope.clock, token)
    code = Code(environment.root, environment.stubs)
    itself = Program((sys.executable, *sys.orig_argv[1:]), home.log, environment.variables)

    def end() -> None:
        upkeep.dismiss()
        signal.raise_signal(signal.SIGTERM)

    identity = Identity(mark.pid, code.version, scope.clock.now())
    origin, store = Origin(wanted.machine), scope.stub(events_rpc.EventStoreServiceStub)
    usage = Alarm(scope.clock, news.tell)

    def used() -> None:
        usage.set_to(scope.clock.monotonic_s() + until_next_s(scope.clock, USAGE_S_MAX))

    async with recording(home.outbox, origin.stream, store, scope.clock) as recorder:
        sinks = Sinks(LogSink(), RecordingSink(recorder, origin))
        known = home, scope.clock, watching, environment.variables
        ground = Ground(*known, news.tell, sink=sinks, used=used)
        foreman = Foreman(ground, news, code, identity, end)
        notes = Notes(recorder, origin.machine, scope.clock)
        commands = Commands(foreman, Asking(token), notes, news)
        upkeep = Upkeep(home, mark, itself, foreman)
        vigilance = Vigilance(foreman, home, scope.clock)
        secrets = SecretKeeping(home.secrets, scope.clock, lambda: foreman.is_over)
        await secrets.begin(wanted)
        notes.began(wanted, identity.pid, foreman.begin(wanted))
        scope.spawn("upkeep", upkeep.run(scope.clock))
        scope.spawn("secrets", secrets.run(lambda: foreman.wanted))
        scope.spawn("vigil", vigilance.run())
        scope.show(HOSTS_PAGE, HostsFace(foreman.posts).page)
        scope.spawn("owner", _end_with_owner(home, foreman))
        try:
            yield Supervision(foreman, commands, notes, home.logs, scope.clock)
        finally:
            await commands.end()
            await foreman.leave()
            await usage.end()
            await secrets.close()


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


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.MachineSettings,
    # It starts what keeps them.
    soft_calls=(events.DESCRIPTOR,),
    build=build,
)
main = AGENT.main
