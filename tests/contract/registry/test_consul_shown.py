"""What people see in Consul of the hosts that hold their lease at a control."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration

from services.control.registry.agent import AGENT
from tandem.control.config.v1 import registry_pb2 as cfg
from tandem.control.v1 import registration_pb2 as nouns
from tandem.control.v1 import registry_service_pb2_grpc as rpc
from tandemkit.testing.agents import serving
from tandemkit.testing.parts_consul import DurableConsul, durable_consul
from tests.cluster.eventually import eventually
from tests.unit.services.control.registry.hosts import CLOSE, RENEW, change, held, host

FILES, TOOLBOX = "utility-files", "utility-toolbox"
KINDS = "health", "reached"
_PREFIXES = count()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def consul() -> AsyncIterator[DurableConsul]:
    async with durable_consul() as server:
        yield server


@dataclass(frozen=True)
class Fleet:
    """Controls with one Consul, and what people see of their hosts."""

    consul: DurableConsul
    folder: Path
    name: str

    @asynccontextmanager
    async def control(self, name: str = "control") -> AsyncIterator[rpc.RegistryServiceAsyncStub]:
        backend = cfg.ConsulBackend(
            address=self.consul.url, prefix=self.name, check_interval=Duration(seconds=3600)
        )
        said = cfg.RegistrySettings(consul=backend)
        async with serving(AGENT, settings=said, state_dir=self.folder / name) as channel:
            yield rpc.RegistryServiceStub(channel)

    async def services(self) -> dict[str, Any]:
        """The catalogue's entry of each of our agents, by the service's id."""
        entries = {}
        for name in (FILES, TOOLBOX):
            for one in json.loads(await self.consul.ask(f"catalog/service/{name}")):
                if one["ServiceMeta"]["tandem-fleet"] == self.name:
                    entries[one["ServiceID"].removeprefix(f"{self.name}:")] = one
        return entries

    async def until_shown(self, *agents: str) -> dict[str, Any]:
        """Returns once these are in the catalogue and no others."""
        return await eventually(self.services, lambda found: found.keys() == set(agents))


@pytest.fixture
def fleet(consul: DurableConsul, tmp_path: Path) -> Fleet:
    return Fleet(consul, tmp_path, f"fleet-{next(_PREFIXES)}")


def host_with(*services: str, name: str = "hosts/a") -> nouns.Host:
    said = host(name)
    del said.placements[:]
    for service in services:
        said.placements.add(service=service, serving=True, contract_digest="0" * 64)
    return said


async def test_every_agent_of_a_host_is_a_service_until_it_drains(fleet: Fleet) -> None:
    """With its name, its address, and what people ask for; agents that come and go are followed."""
    files, toolbox = "tandem.utility.v1.FilesService", "tandem.utility.v1.ToolboxService"
    async with fleet.control() as registry:
        one = await held(registry, host_with(files))
        shown = (await fleet.until_shown("a:utility-files"))["a:utility-files"]
        assert (shown["ServiceAddress"], shown["ServicePort"]) == ("127.0.0.1", 8200)
        assert shown["ServiceTags"] == ["machine=laptop", "group=utility"]
        meta = shown["ServiceMeta"]
        assert (meta["service"], meta["host"], meta["instance"]) == (files, "a", FILES)
        assert meta["contract_digest"] == "0" * 64
        await one.step(change(host_with(files, toolbox)))
        await fleet.until_shown("a:utility-files", "a:utility-toolbox")
        await one.step(change(host_with(toolbox)))
        await fleet.until_shown("a:utility-toolbox")
        await one.step(CLOSE)
        await fleet.until_shown()


async def test_consul_asks_as_often_as_the_settings_say(fleet: Fleet) -> None:
    """For the health of each agent."""
    async with fleet.control() as registry:
        one = await held(registry, host(), 60)
        await fleet.until_shown("a:utility-files")
        checks = json.loads(await fleet.consul.ask("agent/checks"))
        health, reached = (checks[f"{fleet.name}:a:utility-files:{kind}"] for kind in KINDS)
        assert (health["Type"], health["Interval"]) == ("grpc", "1h0m0s")
        assert reached["Type"] == "tcp"
        await one.step(CLOSE)


async def test_a_lost_lease_takes_the_host_out_of_sight(fleet: Fleet) -> None:
    """Long before Consul's own minute, and of nobody else."""
    async with fleet.control() as registry:
        lives = await held(registry, host(), ttl_s=60)
        lost = await held(registry, host("hosts/b"), ttl_s=1)
        await fleet.until_shown("a:utility-files", "b:utility-files")
        lost.cut()
        await fleet.until_shown("a:utility-files")
        await lives.step(RENEW)


async def test_a_restarted_control_keeps_who_stays_and_reaps_who_went(fleet: Fleet) -> None:
    """Who comes back was never out of the catalogue, not for a moment; who died meanwhile goes."""
    async with fleet.control() as registry:
        both = [await held(registry, host(), 60), await held(registry, host("hosts/b"), 2)]
        before = await fleet.until_shown("a:utility-files", "b:utility-files")
        for one in both:
            one.cut()
    async with fleet.control() as registry:
        await fleet.until_shown("a:utility-files")
        again = await held(registry, host(), 60)
        first = before["a:utility-files"]

        async def is_renewed() -> bool:
            found = (await fleet.services())["a:utility-files"]
            assert found["CreateIndex"] == first["CreateIndex"], "it was out of the catalogue"
            return bool(found["ServiceMeta"] != first["ServiceMeta"])

        await eventually(is_renewed)
        await again.step(RENEW)


async def test_two_controls_on_one_consul_do_not_fight(fleet: Fleet) -> None:
    """The one that holds the host's lease shows it: the other neither adds nor takes away, also
    when the host goes from one to the other.
    """
    async with fleet.control("one") as one, fleet.control("two") as two:
        first = await held(one, host(), 60)
        other = await held(two, host("hosts/b"), 60)
        shown = ("a:utility-files", "b:utility-files")
        before = await fleet.until_shown(*shown)
        second = await held(two, host(), 60)

        def is_moved(found: dict[str, Any]) -> bool:
            return bool(found[shown[0]]["ServiceMeta"] != before[shown[0]]["ServiceMeta"])

        after = await eventually(fleet.services, is_moved)
        first.cut()
        # Each control has looked again by the time that a third host is shown and gone.
        third = await held(one, host("hosts/c"), ttl_s=60)
        await fleet.until_shown(*shown, "c:utility-files")
        await third.step(CLOSE)
        end = await fleet.until_shown(*shown)
        for still in (other, second):
            await still.step(RENEW)
        for agent in shown:
            assert before[agent]["CreateIndex"] == after[agent]["CreateIndex"]
            assert after[agent]["ModifyIndex"] == end[agent]["ModifyIndex"]


async def test_what_somebody_took_away_is_shown_again(fleet: Fleet) -> None:
    """By hand, or with the disk of Consul: control looks again by itself."""
    async with fleet.control() as registry:
        one = await held(registry, host(), 60)
        await fleet.until_shown("a:utility-files")
        path = f"agent/service/deregister/{fleet.name}:a:utility-files"
        await fleet.consul.ask(path, method="PUT")
        await fleet.until_shown()
        await fleet.until_shown("a:utility-files")
        await one.step(RENEW)


async def test_without_the_right_to_show_services_the_registry_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The mesh does not depend on what people see; the log says once what is missing."""
    async with durable_consul(root_token="a5c6b1e2-7c0b-4a63-8a5c-6f2f9b0f9a11") as server:
        rules = 'key_prefix "guarded/" { policy = "write" } session_prefix "" { policy = "write" }'
        token = tmp_path / "token"
        token.write_text(await server.token_for(rules))
        said = cfg.ConsulBackend(address=server.url, prefix="guarded", token_file=str(token))
        settings = cfg.RegistrySettings(consul=said)
        async with serving(AGENT, settings=settings, state_dir=tmp_path) as channel:
            registry = rpc.RegistryServiceStub(channel)
            one = await held(registry, host())

            async def warnings() -> list[str]:
                return [it.message for it in caplog.records if it.message == "consul.not_shown"]

            await eventually(warnings)
            await one.step(change(host_with("tandem.utility.v1.ToolboxService")))
            await one.step(CLOSE)
            assert await warnings() == ["consul.not_shown"]
