"""The gateway of a fleet that `./tandem up` started: found, asked, killed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from services.gateway.http.agent import AGENT as GATEWAY
from services.memory.namespace.agent import AGENT as NAMESPACE
from tandemkit.core.token import Token
from tandemkit.testing.checkouts import write_checkout
from tandemkit.testing.parts import short_folder
from tests.cluster.eventually import eventually
from tests.cluster.fleets import SERVED, Checkout

pytestmark = pytest.mark.cluster
MEASURE = "/api/utility-toolbox/MeasureText"


@dataclass(frozen=True)
class Asking:
    """A client of the gateway that shows `bearer`."""

    url: str
    bearer: str

    async def post(self, path: str, value: object, **headers: str) -> tuple[int, Any]:
        shown = {"authorization": self.bearer, **headers}
        async with (
            aiohttp.ClientSession(headers=shown) as client,
            client.post(f"{self.url}{path}", json=value) as told,
        ):
            return told.status, await told.json(content_type=None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet() -> AsyncIterator[Checkout]:
    """Its gateway has a host of its own, as on a laptop."""
    with short_folder() as folder:
        settings = {GATEWAY.name: {"address": "127.0.0.1:0"}}
        write_checkout(folder, (*SERVED, NAMESPACE, GATEWAY), settings)
        _put(folder / "layout/groups.yaml", {"name": "gateway", "agents": ["gateway-*"]})
        _put(folder / "profiles/laptop.yaml", {"group": "gateway"})
        checkout = Checkout(folder)
        try:
            assert (await checkout.told("up", "-d"))["serving"]
            yield checkout
        finally:
            await checkout.tandem("down")


def _put(path: Path, group: object) -> None:
    path = path.parents[1] / "deploy/fleet" / path.parent.name / path.name
    value = json.loads(path.read_text())
    value["groups"].append(group)
    path.write_text(json.dumps(value))


@pytest.mark.asyncio(loop_scope="module")
async def test_up_and_env_say_where_it_is(fleet: Checkout) -> None:
    """As a value, and as a variable of who evaluates `env`."""
    up, env = await fleet.told("up", "-d"), await fleet.told("env")
    assert up["gateway"] == env["gateway"]
    assert f"TANDEM_GATEWAY={up['gateway']}" in (await fleet.tandem("env")).stdout.replace("'", "")


async def _asking(fleet: Checkout) -> Asking:
    url = (await fleet.told("env"))["gateway"]
    return Asking(url, Token(fleet.home.token).bearer)


@pytest.mark.asyncio(loop_scope="module")
async def test_an_agent_of_another_host_answers(fleet: Checkout) -> None:
    """By the contract that control tells: the gateway has no stubs of it."""
    it = await _asking(fleet)
    status, told = await it.post(MEASURE, {"text": "naïve 👩‍👩‍👧"})
    assert (status, told["graphemes"]) == (200, "7")
    status, told = await it.post(MEASURE, {"txt": 1})
    assert (status, told["reason"]) == (400, "MESSAGE_INVALID")


@pytest.mark.asyncio(loop_scope="module")
async def test_methods_of_the_fleet_are_tools(fleet: Checkout) -> None:
    """By the contracts that control tells; a caller's key is shown those that it opens."""
    operator = await _asking(fleet)
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    _, told = await operator.post("/mcp", listing)
    tools = {one["name"]: one for one in told["result"]["tools"]}
    assert "text" in tools["utility-toolbox_MeasureText"]["inputSchema"]["properties"]
    key = (await fleet.told("token", "for", "bob"))["key"]
    _, told = await Asking(operator.url, f"Bearer {key}").post("/mcp", listing)
    shown = {one["name"] for one in told["result"]["tools"]}
    assert shown == {one for one in tools if one.startswith("memory-namespace_")}


@pytest.mark.asyncio(loop_scope="module")
async def test_its_host_tells_prometheus_what_was_answered(fleet: Checkout) -> None:
    """By face and status."""
    assert (await (await _asking(fleet)).post(MEASURE, {"text": "a"}))[0] == 200
    hosts = (await fleet.told("up", "-d"))["hosts"]
    (address,) = [one["http_address"] for one in hosts if one["host"] == "gateway"]
    async with aiohttp.ClientSession() as client, client.get(f"http://{address}/metrics") as told:
        lines = (await told.text()).splitlines()
    assert any(
        line.startswith("tandem_gateway_answers_total{")
        and 'face="/api/"' in line
        and 'status="200"' in line
        for line in lines
    )


@pytest.mark.asyncio(loop_scope="module")
async def test_a_key_of_a_caller_has_the_rights_that_rules_give_it(fleet: Checkout) -> None:
    """The agent sees the caller and not the gateway; what asks nobody, no key opens."""
    operator = await _asking(fleet)
    key = (await fleet.told("token", "for", "ada"))["key"]
    ada = Asking(operator.url, f"Bearer {key}")
    status, told = await ada.post(MEASURE, {"text": "a"})
    assert (status, told["reason"]) == (403, "KEY_NOT_ENOUGH")
    path = "/api/memory-namespace/ListNamespaces"
    assert (await operator.post(path, {}))[0] == 200
    status, told = await ada.post(path, {})
    assert (status, told.get("reason", "")) in {(200, ""), (403, "NAMESPACE_FORBIDDEN")}


@pytest.mark.asyncio(loop_scope="module")
async def test_it_comes_back_at_its_address(fleet: Checkout) -> None:
    """Also killed: who knows where it is does not have to ask again."""
    it = await _asking(fleet)
    before = fleet.pids()["gateway"]
    fleet.kill("gateway")

    async def pids() -> dict[str, int]:
        return fleet.pids()

    async def status() -> int:
        return (await it.post(MEASURE, {"text": "a"}))[0]

    await eventually(pids, lambda found: found.get("gateway", before) != before)
    await eventually(status, lambda found: found == 200)
