"""Catalogue row M018 in a real fleet: the machine's supervisor suspends for want of memory."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.platform.resource.agent import AGENT as RESOURCES
from services.utility.files.agent import AGENT as FILES
from services.utility.toolbox.agent import AGENT as TOOLBOX
from tandemkit.hosting.agent import Agent
from tandemkit.testing.checkouts import write_deploy
from tandemkit.testing.parts import short_folder
from tests.cluster.eventually import eventually
from tests.cluster.fleets import SERVED, Checkout

# It starts a fleet and changes it twice, beside whatever else the machine does.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]
_WITHIN_S = 60.0
# Whether memory is short is the test's to say: with 100 always, with nearly nothing never.
_PLENTY, _SHORT = 0.0001, 100
_GROUPS = {
    "control": "control-*",
    "machine": "control-machine",
    "books": "platform-*",
    "agents": "*",
}
_MEASURE = ("call", "utility-toolbox/MeasureText", '{"text": "one two"}')
_LIST = ("call", "utility-files/ListFiles", "{}")


def stanza(agent: Agent, **others: object) -> dict[str, object]:
    return {"name": agent.name, "service": agent.promise.service.full_name, **others}


def write(folder: Path, scarce_percent: float) -> None:
    """The toolbox is a standard agent, files a critical one, and the books have a host of their
    own.
    """
    limits = {"scarce_percent": scarce_percent, "stalled_percent": 100}
    pressure = {"pressure": {**limits, "look_every": "0.1s", "calm": "0.3s"}}
    control = [stanza(one, pool="infrastructure") for one in SERVED if one is not TOOLBOX]
    utility = [stanza(TOOLBOX), stanza(FILES, priority="critical")]
    books = stanza(RESOURCES, pool="infrastructure", settings=pressure)
    groups = [{"name": name, "agents": [agents]} for name, agents in _GROUPS.items()]
    profile = {"name": "laptop", "machines": ["laptop"], "replicas_max": 1}
    files: dict[str, object] = {
        "fleet/control.yaml": {"agents": control},
        "fleet/utility.yaml": {"agents": utility},
        "fleet/platform.yaml": {"agents": [books]},
        "fleet/layout/groups.yaml": {"groups": groups},
        "fleet/profiles/laptop.yaml": {**profile, "groups": [{"group": one} for one in _GROUPS]},
    }
    write_deploy(folder, files)


@asynccontextmanager
async def fleet() -> AsyncIterator[Checkout]:
    """One that serves; nothing of it is left afterwards."""
    with short_folder() as folder:
        write(folder, _PLENTY)
        checkout = Checkout(folder)
        try:
            assert (await checkout.told("up", "-d"))["serving"]
            yield checkout
        finally:
            await checkout.tandem("down")
        assert checkout.pids() == {}


async def resources(checkout: Checkout) -> Any:
    """As the agent tells them; LookupError while it does not answer."""
    done = await checkout.tandem("call", "ResourceManager/GetResources", "{}")
    if done.returncode:
        raise LookupError(done.stderr)
    return json.loads(done.stdout)


async def test_m018_memory_pressure_suspends_a_standard_agent_before_a_critical_one() -> None:
    """Through the supervisor of the machine: calls of who is suspended are refused, and with room
    again all answer, though the guard was killed meanwhile.
    """
    both = ["utility-toolbox", "utility-files"]
    async with fleet() as checkout:

        async def suspended() -> list[str]:
            told = (await resources(checkout))["pressure"]
            return [one["agent"] for one in told["suspensions"]]

        found = await eventually(
            lambda: resources(checkout),
            lambda it: it["source"] == "plan 1 of laptop",
            within_s=_WITHIN_S,
        )
        standard = next(one for one in found["pools"] if one["pool"] == "MEMORY_POOL_STANDARD")
        assert standard["sizeMib"] == 2000
        assert standard["plannedMib"] > 0
        assert found["pressure"]["guardCause"] == ""
        write(checkout.folder, _SHORT)
        # Not all of it is going to serve, so there is nothing to wait for.
        await checkout.tandem("up", "-d", "--within-s", "1")
        await eventually(suspended, lambda it: it == both, within_s=_WITHIN_S)
        for call in (_MEASURE, _LIST):
            assert (await checkout.tandem(*call)).returncode != 0
        os.kill(checkout.pids()["books"], signal.SIGKILL)
        await eventually(suspended, lambda it: it == both, within_s=_WITHIN_S)
        write(checkout.folder, _PLENTY)
        await checkout.tandem("up", "-d", "--within-s", "1")
        await eventually(suspended, lambda it: not it, within_s=_WITHIN_S)
        for call in (_MEASURE, _LIST):
            done = await checkout.tandem(*call)
            assert done.returncode == 0, done.stderr
