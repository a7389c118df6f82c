"""A fleet whose stores are written to without a pause, and what its writer was told."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from services.control.fleet_status.agent import AGENT as FLEET_STATUS
from services.control.machine.agent import AGENT as MACHINE
from services.control.registry.agent import AGENT as REGISTRY
from services.platform.config_server.agent import AGENT as CONFIG_SERVER
from services.platform.event_store import AGENT as EVENT_STORE
from tandem.control.v1 import checkpoint_pb2 as pb
from tandem.platform.v1 import config_server_service_pb2 as config
from tandem.platform.v1 import config_server_service_pb2_grpc as config_rpc
from tandem.platform.v1 import event_store_service_pb2 as events
from tandem.platform.v1 import event_store_service_pb2_grpc as events_rpc
from tandemkit.core.token import Token
from tandemkit.machine.checkpoints.restoring import Restore
from tandemkit.machine.home import Home
from tandemkit.rpc.bearing import bearing
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.supervise.tasks import Tasks
from tests.cluster.fleets import TANDEM, Checkout

AGENTS = (REGISTRY, FLEET_STATUS, MACHINE, CONFIG_SERVER, EVENT_STORE)
KEY, STREAM = "web.number", "trials/numbers"
DECLARED = {"key": KEY, "kind": "whole", "purpose": "A test.", "default": "0"}
SETTINGS = {CONFIG_SERVER.name: {"inline": {"declarations": [DECLARED]}}}
SCHEMA = "tandem.platform.v1.ConfigValue"
STORE = f"state/{EVENT_STORE.name}/events.sqlite"


@dataclass
class Told:
    """The last number that each store has acknowledged: the registry is always asked first, so it
    is never behind the events, and one ahead at most.
    """

    value: int = 0
    event: int = 0


class Writer:
    """Sets a value in the registry, then appends an event of it, again and again."""

    def __init__(self, wire: grpc.aio.Channel) -> None:
        self._config = config_rpc.ConfigServerServiceStub(wire)
        self._events = events_rpc.EventStoreServiceStub(wire)
        self.told = Told()

    async def write(self) -> None:
        """The next number, to both."""
        number = self.told.event + 1
        value = config.SetConfigValueRequest(key=KEY)
        value.value.whole = number
        value.note.author, value.note.reason = "ana", "counting"
        await self._config.SetConfigValue(value, timeout=10)
        self.told.value = number
        request = events.AppendEventsRequest(stream=STREAM)
        content = events.EventContent(schema=SCHEMA, content=value.value.SerializeToString())
        request.events.add(id=f"number-{number}", content=content)
        await self._events.AppendEvents(request, timeout=10)
        self.told.event = number

    async def run(self) -> None:
        while True:
            await self.write()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Told]:
        async with Tasks() as tasks:
            tasks.spawn("write", self.run())
            yield self.told

    async def found(self) -> Told:
        """What the stores know now."""
        request = config.GetConfigValueRequest(key=KEY)
        value = await self._config.GetConfigValue(request, timeout=10, wait_for_ready=True)
        told = Told(value=value.entry.value.whole)
        after = 0
        while page := (await self._page(after)).events:
            after = page[-1].version
            told.event = after
        return told

    async def _page(self, after: int) -> events.ReadStreamResponse:
        request = events.ReadStreamRequest(stream=STREAM, after_version=after, events_max=1000)
        return await self._events.ReadStream(request, timeout=10)


@asynccontextmanager
async def writing(fleet: Checkout) -> AsyncIterator[Writer]:
    """At the host of the agents itself, wherever it is now."""
    told = await fleet.told("status")
    hosts = {one["host"]: one for machine in told["machines"] for one in machine["hosts"]}
    async with grpc.aio.insecure_channel(hosts["agents"]["address"]) as wire:
        yield Writer(bearing(wire, Token(fleet.home.token)))


def flip(path: Path, offset: int) -> None:
    """One bit of one byte."""
    with path.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def faults_of(written: str) -> list[str]:
    """What `verify --json` names."""
    return [f"{one['file']}: {one['what']}" for one in json.loads(written)["faults"]]


def step_of(home: Home) -> pb.RestoreStep.ValueType:
    """How far a restore has come."""
    journal = Restore(home).journal
    return journal.step if journal else pb.RESTORE_STEP_UNSPECIFIED


async def killed_when(checkout: Checkout, reached: Callable[[], bool], *arguments: str) -> None:
    """A command, by kill -9 as soon as that is so, or a moment later."""

    async def is_there() -> None:
        assert reached()

    log = checkout.folder / "killed.log"
    command = Command((*TANDEM, *arguments), log, env=checkout.variables)
    async with supervised_process(command, ready=is_there) as process:
        os.kill(process.pid, signal.SIGKILL)
