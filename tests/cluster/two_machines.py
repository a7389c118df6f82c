"""Two machines of one fleet on one box: each with its home, its supervisor and its hosts; the
second one joins the control of the first.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from services.platform.event_store import AGENT as EVENT_STORE
from services.platform.system.agent import AGENT as SYSTEM
from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import traffic_policy_pb2 as policy
from tandem.platform.v1 import event_store_service_pb2 as events
from tandem.platform.v1 import event_store_service_pb2_grpc as events_rpc
from tandem.platform.v1 import system_service_pb2_grpc as system_rpc
from tandemkit.core.token import FILE_NAME, Token
from tandemkit.hosting.vouching import KEY_FILE_NAME
from tandemkit.machine import __main__ as supervisor
from tandemkit.machine.orders import Order, site_of
from tandemkit.rpc.bearing import bearing
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.checkouts import write_checkout
from tandemkit.testing.parts import short_folder
from tests.cluster.fleets import SERVED, Checkout

FIRST, SECOND = "laptop", "pc2"
AGENT = "utility-toolbox"
_ON_SECOND = {"control-machine", AGENT}


@dataclass(frozen=True)
class Pair:
    """Both, and a client of the agents that the first one serves."""

    first: Checkout
    second: Checkout
    channel: Any

    @property
    def system(self) -> Any:
        return system_rpc.SystemServiceStub(self.channel)

    async def recorded(self, stream: str, kind: type[Any]) -> list[Any]:
        """The events of that message in the stream, the oldest first."""
        store: Any = events_rpc.EventStoreServiceStub(self.channel)
        found = await store.ReadStream(events.ReadStreamRequest(stream=stream, events_max=1000))
        name = kind.DESCRIPTOR.full_name
        said = (one.content for one in found.events)
        return [kind.FromString(one.content) for one in said if one.schema == name]


def address_of(checkout: Checkout, host: str) -> str:
    """Where a host of it answers."""
    wanted = checkout.home.wanted
    assert wanted is not None
    (machine,) = wanted.plan.machines
    (planned,) = (one for one in machine.hosts if one.name == host)
    return Order(planned, site_of(wanted), "").address


def joining(first: Checkout) -> nouns.WantedMachine:
    """What the second machine runs: its supervisor and one agent, at the first one's control."""
    found = nouns.WantedMachine()
    known = first.home.wanted
    assert known is not None
    found.CopyFrom(known)
    found.generation, found.machine = 0, SECOND
    found.controls[:] = [address_of(first, "control")]
    found.note.CopyFrom(policy.ChangeNote(author="test", reason="a second machine"))
    (machine,) = found.plan.machines
    machine.name = SECOND
    hosts = [one for one in machine.hosts if one.name in {"machine", "agents"}]
    for host in hosts:
        agents = [one for one in host.agents if one.name in _ON_SECOND]
        del host.agents[:]
        host.agents.extend(agents)
    del machine.hosts[:]
    machine.hosts.extend(hosts)
    return found


@asynccontextmanager
async def two_machines() -> AsyncIterator[Pair]:
    """Both serve; nothing of them is left afterwards."""
    with short_folder() as folder:
        write_checkout(folder, (*SERVED, EVENT_STORE, SYSTEM))
        first, second = Checkout(folder), Checkout(folder, "second")
        try:
            assert (await first.told("up", "-d"))["serving"]
            await asyncio.to_thread(_prepare, first, second)
            argv = (sys.executable, "-m", f"{supervisor.__package__}")
            command = Command(argv, folder / "second.log", env=second.variables)
            async with supervised_process(command), _client(first) as channel:
                try:
                    yield Pair(first, second, channel)
                finally:
                    await second.tandem("down")
        finally:
            await first.tandem("down")
        assert {**first.pids(), **second.pids()} == {}


def _prepare(first: Checkout, second: Checkout) -> None:
    second.home.prepare()
    for secret in (FILE_NAME, KEY_FILE_NAME):
        shutil.copy(first.home.folder / secret, second.home.folder / secret)
        (second.home.folder / secret).chmod(0o600)
    second.home.want(joining(first))


@asynccontextmanager
async def _client(first: Checkout) -> AsyncIterator[Any]:
    token = await asyncio.to_thread(Token.kept, first.home.token)
    async with grpc.aio.insecure_channel(address_of(first, "agents")) as wire:
        yield bearing(wire, token)
