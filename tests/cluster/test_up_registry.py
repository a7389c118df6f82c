"""A fleet whose registry stands on a real Consul or Redis: one of its own, and one that runs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tandemkit.core.clock import stopwatch_s
from tandemkit.machine.parts.kinds import CONSUL, REDIS
from tandemkit.testing.checkouts import write_checkout
from tandemkit.testing.parts import demand, fetch, short_folder
from tandemkit.testing.parts_consul import durable_consul
from tests.cluster.eventually import eventually
from tests.cluster.fleets import SERVED, Checkout

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]
CALL = ("call", "utility-toolbox/MeasureText", '{"text": "one two"}')
# How soon people have to see that an agent was stopped.
LEAVES_WITHIN_S = 3.0


@asynccontextmanager
async def standing_on(kind: str, *said: str) -> AsyncIterator[Checkout]:
    """A fleet that serves, begun with `up -d --registry`; nothing of it is left afterwards."""
    programs = demand(kind)
    with short_folder() as folder:
        write_checkout(folder, SERVED)
        checkout = Checkout(folder)
        folders = {str(Path(one).parent) for one in programs.values()}
        checkout.variables["PATH"] = ":".join((*sorted(folders), checkout.variables["PATH"]))
        try:
            up = await checkout.told("up", "-d", "--registry", kind, *said)
            assert up["serving"]
            assert up["registry"].startswith(f"{kind} at ")
            yield checkout
        finally:
            await checkout.tandem("down")
        assert checkout.pids() == {}


async def part_of(fleet: Checkout) -> dict[str, Any]:
    """The one server of its own, as `status` has it."""
    # It exits 1 while something does not serve.
    told = await fleet.tandem("status", "--json")
    (machine,) = json.loads(told.stdout)["machines"]
    (part,) = machine["parts"]
    return dict(part)


async def asked(address: str, path: str) -> Any:
    """Consul's answer to somebody without a token."""
    return json.loads(await fetch(f"http://{address}/v1/{path}"))


async def test_consul_shows_a_passing_check_of_each_agent_and_loses_who_is_stopped() -> None:
    """Of type grpc, to people who have no token; back when it is started again."""
    async with standing_on(CONSUL) as fleet:
        address = (await part_of(fleet))["address"]

        async def agents_and_checks() -> tuple[set[str], dict[str, str]]:
            told = await fleet.told("agents")
            agents = {here["instance"] for one in told for here in one["instances"]}
            found = (await asked(address, "agent/checks")).values()
            grpc = (one for one in found if one["Type"] == "grpc")
            return agents, {one["ServiceName"]: one["Status"] for one in grpc}

        _, shown = await eventually(
            agents_and_checks,
            lambda now: now[0] == now[1].keys() and set(now[1].values()) == {"passing"},
        )
        assert {"utility-toolbox", "control-machine-laptop"} <= shown.keys()

        async def passing() -> int:
            return len(await asked(address, "health/service/utility-toolbox?passing"))

        assert (await fleet.tandem("stop", "utility-toolbox")).returncode == 0
        began_s = stopwatch_s()
        await eventually(passing, lambda found: found == 0)
        assert stopwatch_s() - began_s < LEAVES_WITHIN_S
        assert (await fleet.tandem("start", "utility-toolbox")).returncode == 0
        await eventually(passing, lambda found: found == 1)


async def test_consul_keeps_its_keys_to_itself() -> None:
    """Who shows no token reads who serves where, and neither reads nor writes a key."""
    async with standing_on(CONSUL) as fleet:
        address = (await part_of(fleet))["address"]
        for method in ("GET", "PUT"):
            with pytest.raises(OSError, match=str(HTTPStatus.FORBIDDEN.value)):
                await fetch(f"http://{address}/v1/kv/tandem/x", method=method, body=b"")


@pytest.mark.parametrize("kind", [CONSUL, REDIS])
async def test_a_server_that_is_killed_comes_back_and_calls_go_on(kind: str) -> None:
    """Another process with the same address; the agents are those that they were."""
    async with standing_on(kind) as fleet:
        part, hosts = await part_of(fleet), fleet.pids()
        fleet.kill(kind)
        assert (await fleet.tandem(*CALL)).returncode == 0

        async def back() -> dict[str, Any]:
            return await part_of(fleet)

        now = await eventually(
            back,
            lambda found: found["state"] == "SERVING" and found["pid"] != part["pid"],
            within_s=30,
        )
        assert now["address"] == part["address"]
        assert (await fleet.tandem(*CALL)).returncode == 0
        assert {**fleet.pids(), kind: 0} == {**hosts, kind: 0}


async def test_a_second_up_keeps_the_registry_or_changes_it_and_says_so() -> None:
    """Without a word it stays; on another one nothing of what the first kept is to be found."""
    async with standing_on(REDIS) as fleet:
        before = fleet.pids()
        again = await fleet.told("up", "-d")
        assert again["changes"] == []
        assert fleet.pids() == before
        changed = await fleet.tandem("up", "-d", "--registry", "embedded", "--json")
        assert changed.returncode == 0, changed.stderr
        assert "are not moved" in changed.stderr
        assert json.loads(changed.stdout)["registry"] == "embedded"
        assert set(fleet.pids()) == before.keys() - {REDIS}


async def test_a_fleet_joins_a_consul_that_runs() -> None:
    """It shows the agents there, and starts none of its own."""
    joined = ("--registry-address",)
    async with durable_consul() as server, standing_on(CONSUL, *joined, server.url) as fleet:
        assert CONSUL not in fleet.pids()

        async def services() -> Any:
            return await asked(server.url.removeprefix("http://"), "agent/services")

        found = await eventually(services, lambda told: len(told) >= len(SERVED))
        assert "utility-toolbox" in {one["Service"] for one in found.values()}
