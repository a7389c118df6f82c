"""Somebody with a key of their own, before a fleet that runs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from services.control.fleet_status.agent import AGENT as FLEET_STATUS
from services.control.machine.agent import AGENT as MACHINE
from services.control.registry.agent import AGENT as REGISTRY
from services.memory.namespace.agent import AGENT as NAMESPACE
from services.platform.event_store import AGENT as EVENT_STORE
from tests.cluster.eventually import eventually
from tests.cluster.fleets import Checkout, detached_fleet

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(200)]
_AGENTS = (REGISTRY, FLEET_STATUS, MACHINE, EVENT_STORE, NAMESPACE)
_RULES = {
    "namespace": {
        "name": "namespaces/team-a",
        "rules": [{"callers": ["callers/ada"], "right": "RIGHT_READ"}],
    }
}


@pytest.fixture
async def fleet() -> AsyncIterator[Checkout]:
    async with detached_fleet(_AGENTS) as checkout:
        yield checkout


async def test_a_key_opens_what_rules_give_its_name_until_it_is_revoked(fleet: Checkout) -> None:
    """And neither another namespace, nor another agent, nor more than it was given."""
    key = (await fleet.told("token", "for", "ada"))["key"]

    async def outcome(method: str, request: object) -> str:
        shown = f"authorization: Bearer {key}"
        done = await fleet.tandem("call", method, json.dumps(request), "-H", shown, "--json")
        return done.stdout + done.stderr

    team_a = {"name": "namespaces/team-a"}
    assert "NAMESPACE_FORBIDDEN" in await outcome("memory-namespace/GetNamespace", team_a)
    put = json.dumps(_RULES)
    assert (await fleet.tandem("call", "memory-namespace/PutNamespace", put)).returncode == 0

    async def read() -> str:
        return await outcome("memory-namespace/GetNamespace", team_a)

    found = await eventually(read, lambda said: "callers/ada" in said and "RIGHT_READ" in said)
    assert "FORBIDDEN" not in found
    for method, request, reason in (
        ("memory-namespace/PutNamespace", _RULES, "NAMESPACE_FORBIDDEN"),
        ("memory-namespace/RevokeCaller", {"caller": "bob"}, "NAMESPACE_FORBIDDEN"),
        ("platform-event-store/ReadEvents", {}, "KEY_NOT_ENOUGH"),
    ):
        assert reason in await outcome(method, request)
    await fleet.told("token", "revoke", "ada")
    await eventually(read, lambda said: "KEY_REFUSED" in said and "revoked" in said)
