"""What a host makes of the policy that it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import traffic_policy_pb2 as nouns
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.heed import Heard, Heed, heed
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.mesh.kept_policy import POLICY_KEY
from tandemkit.rpc import channel
from tandemkit.rpc.client import mesh
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing import probe
from tandemkit.testing.agents import fake_agent
from tandemkit.testing.parts import short_folder
from tests.cluster.eventually import eventually
from tests.unit.services.control.traffic_policy.policies import (
    Caller,
    faulty,
    policies_at,
    preferring,
    shares,
)
from tests.unit.tandemkit.rpc.probed import Probe

HOST = "hosts/one"
ECHO = probe.path("Echo")
OTHER = "tandem.probe.v1.OtherService"


class Hosted:
    """A host of the probe agent, and a caller beside it that no other host would answer."""

    def __init__(self, server: Server, servicer: Probe, echo: Any) -> None:
        self.server, self.servicer = server, servicer
        self._echo = echo

    async def met(self) -> str:
        """Who answered a call: the agent in this process, or what the mesh has instead."""
        try:
            return str((await self._echo(probe.ProbeRequest(text="near"))).text)
        except grpc.aio.AioRpcError as error:
            return error.code().name

    async def until(self, answer: str) -> None:
        await eventually(self.met, lambda met: met == answer)


async def says_nothing(
    _request: object, _context: object
) -> AsyncIterator[registry.WatchValueResponse]:
    """As a process that is stopped, as far as a caller can tell."""
    await asyncio.Event().wait()
    yield registry.WatchValueResponse()


@asynccontextmanager
async def heeding(*controls: str) -> AsyncIterator[Hosted]:
    server, servicer = Server(), Probe()
    server.mount(Contract.of(probe.DESCRIPTOR), servicer)
    server.health.put(probe.SERVICE, serving=True)
    clock = SystemClock()
    async with mesh(channel.NOWHERE, server.local.way, clock=clock) as calls, Tasks() as tasks:
        tasks.spawn("policy", Heed(Heard(controls, HOST, server), clock).run())
        made: Any = calls.stub(lambda wire: wire)
        echo = made.unary_unary(
            ECHO, probe.ProbeRequest.SerializeToString, probe.ProbeResponse.FromString
        )
        yield Hosted(server, servicer, echo)


@asynccontextmanager
async def control(address: str, folder: Path) -> AsyncIterator[Caller]:
    """The same folder again is a restart."""
    async with policies_at(address, folder), grpc.aio.insecure_channel(address) as wire:
        yield Caller(wire)


@pytest.mark.parametrize(
    "policy",
    [
        nouns.TrafficPolicy(services=[faulty(probe.SERVICE)]),
        nouns.TrafficPolicy(services=[shares(probe.SERVICE, v1=1)]),
        nouns.TrafficPolicy(drained_hosts=[HOST]),
    ],
)
async def test_a_near_call_meets_the_policy_and_stays_near_again(
    tmp_path: Path, policy: nouns.TrafficPolicy
) -> None:
    """It leaves the process while the mesh has something to do to it, and no longer."""
    with short_folder() as folder:
        address = f"unix:{folder}/control"
        async with control(address, tmp_path) as caller, heeding(address) as host:
            assert await host.met() == "near"
            await caller.replace(policy, 0)
            await host.until("UNAVAILABLE")
            await caller.undo()
            await host.until("near")


@pytest.mark.parametrize(
    "policy",
    [
        nouns.TrafficPolicy(services=[faulty(OTHER)]),
        nouns.TrafficPolicy(drained_hosts=["hosts/other"]),
        nouns.TrafficPolicy(
            services=[nouns.ServicePolicy(service=probe.SERVICE, concurrent_calls_max=1)]
        ),
    ],
)
async def test_what_does_not_concern_it_keeps_no_call_from_the_process(
    policy: nouns.TrafficPolicy,
) -> None:
    """Another service's, another host's, or what the server itself sees to."""
    async with heeding("unix:/nowhere") as host:
        heed(policy, HOST, host.server)
        assert await host.met() == "near"


async def test_a_header_that_prefers_a_version_sends_all_calls_through_the_mesh() -> None:
    """The near path does not look at headers, so none of the service's calls stay."""
    preferred = preferring("x-tester")
    preferred.service = probe.SERVICE
    async with heeding("unix:/nowhere") as host:
        heed(nouns.TrafficPolicy(services=[preferred]), HOST, host.server)
        assert await host.met() == "UNAVAILABLE"


async def test_calls_of_the_control_plane_itself_stay(tmp_path: Path) -> None:
    """They make the mesh, so it cannot be asked for them; a drained control goes on."""
    async with heeding("unix:/nowhere") as host:
        heed(nouns.TrafficPolicy(drained_hosts=[HOST]), HOST, host.server)
        assert host.server.local.way(ECHO) is None
        assert host.server.local.inside(ECHO) is not None


async def test_the_last_policy_holds_while_control_is_away(tmp_path: Path) -> None:
    """And what was changed meanwhile is heard when it is back, from whichever answers."""
    with short_folder() as folder:
        address = f"unix:{folder}/control"
        async with heeding("unix:/nowhere", address) as host:
            async with control(address, tmp_path) as caller:
                await caller.set(faulty(probe.SERVICE))
                await host.until("UNAVAILABLE")
            assert await host.met() == "UNAVAILABLE"
            async with control(address, tmp_path) as caller:
                await caller.undo()
                await host.until("near")


async def test_a_control_that_says_nothing_is_left_for_the_next(tmp_path: Path) -> None:
    """A frozen one takes the call and never answers it."""
    with short_folder() as folder:
        frozen, address = f"unix:{folder}/frozen", f"unix:{folder}/control"
        stopped = Placed(fake_agent(registry.DESCRIPTOR, WatchValue=says_nothing), None)
        async with (
            hosting((stopped,), Place(frozen, tmp_path, SystemClock(), 0.0)),
            control(address, tmp_path) as caller,
            heeding(frozen, address) as host,
        ):
            await caller.set(faulty(probe.SERVICE))
            await host.until("UNAVAILABLE")


async def test_what_nobody_can_read_changes_nothing(tmp_path: Path) -> None:
    """A newer control may keep it in another form; the next good one is heeded."""
    with short_folder() as folder:
        address = f"unix:{folder}/control"
        async with control(address, tmp_path) as caller, heeding(address) as host:
            await caller.set(faulty(probe.SERVICE))
            await host.until("UNAVAILABLE")
            good = await caller.registry.GetValue(registry.GetValueRequest(key=POLICY_KEY))
            odd = registry.StoredValue(schema="a.B", content=b"")
            await caller.registry.PutValue(registry.PutValueRequest(key=POLICY_KEY, value=odd))
            assert await host.met() == "UNAVAILABLE"
            await caller.registry.PutValue(
                registry.PutValueRequest(key=POLICY_KEY, value=good.value)
            )
            await caller.undo()
            await host.until("near")


async def test_policy_lets_in_fewer_calls_than_the_contract() -> None:
    """At once, near and far alike; undone, the contract's own limit holds again."""
    async with heeding("unix:/nowhere") as host:
        one = nouns.ServicePolicy(service=probe.SERVICE, concurrent_calls_max=1)
        heed(nouns.TrafficPolicy(services=[one]), HOST, host.server)
        way: Any = host.server.local.way(ECHO)
        first = way(probe.ProbeRequest(text="hang"))
        await host.servicer.entered.wait()
        assert await host.met() == "RESOURCE_EXHAUSTED"
        heed(nouns.TrafficPolicy(), HOST, host.server)
        assert await host.met() == "near"
        first.cancel()
