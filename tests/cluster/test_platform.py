"""What the platform's agents know while their host, and then all of control, is killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.control.fleet_status.agent import AGENT as FLEET_STATUS
from services.control.machine.agent import AGENT as MACHINE
from services.control.registry.agent import AGENT as REGISTRY
from services.platform.config_server.agent import AGENT as CONFIG_SERVER
from services.platform.process_registry import AGENT as PROCESS_REGISTRY
from services.platform.service_registry.agent import AGENT as SERVICE_REGISTRY
from tests.cluster.eventually import eventually
from tests.cluster.fleets import Checkout, detached_fleet

pytestmark = pytest.mark.cluster

AGENTS = (REGISTRY, FLEET_STATUS, MACHINE, CONFIG_SERVER, PROCESS_REGISTRY, SERVICE_REGISTRY)
KEY = "web.greeting"
DECLARED = {"key": KEY, "kind": "text", "purpose": "A test.", "default": "on $${TANDEM_PROFILE}"}
SETTINGS = {CONFIG_SERVER.name: {"inline": {"declarations": [DECLARED]}}}
NOTE = {"author": "ana", "reason": "trying"}


@pytest.fixture
async def fleet() -> AsyncIterator[Checkout]:
    async with detached_fleet(AGENTS, SETTINGS) as checkout:
        yield checkout


async def call(fleet: Checkout, method: str, **request: Any) -> Any:
    return await fleet.told("call", method, json.dumps(request))


async def known(fleet: Checkout) -> tuple[str, list[int], list[str]]:
    """What all three say; LookupError while one of them does not answer."""
    try:
        value = await call(fleet, "ConfigServer/GetConfigValue", key=KEY)
        services = await call(fleet, "ServiceRegistry/DiscoverService", name="llm")
        processes = await call(fleet, "ProcessRegistry/ListProcesses", namespace="tests")
    except AssertionError as error:
        raise LookupError(str(error)) from error
    return (
        value["entry"]["value"]["text"],
        [one["port"] for one in services["instances"]],
        [one["name"] for one in processes["processes"]],
    )


async def test_what_was_acknowledged_is_known_after_every_kill(fleet: Checkout) -> None:
    """By three agents, each of which keeps it its own way."""
    value = await call(fleet, "config_server/GetConfigValue", key=KEY)
    assert value["entry"]["value"]["text"] == "on laptop"
    await call(fleet, "ConfigServer/SetConfigValue", key=KEY, value={"text": "hello"}, note=NOTE)
    await call(
        fleet,
        "service_registry/RegisterService",
        name="ollama",
        host="127.0.0.1",
        port=11434,
        aliases=["llm"],
    )
    await call(
        fleet, "process_registry/RegisterProcess", namespace="tests", name="me", pid=os.getpid()
    )
    wanted = ("hello", [11434], ["me"])
    assert await known(fleet) == wanted
    for host in ("agents", "control"):
        before = fleet.pids()[host]
        os.kill(before, signal.SIGKILL)

        async def replaced(host: str = host, before: int = before) -> bool:
            return fleet.pids().get(host, before) != before

        await eventually(replaced)
        await eventually(lambda: known(fleet), lambda told: told == wanted)
