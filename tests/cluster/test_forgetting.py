"""Everything about somebody, planted in every agent that keeps content, deleted from a fleet."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf import json_format

from services.control.fleet_status.agent import AGENT as FLEET_STATUS
from services.control.machine.agent import AGENT as MACHINE
from services.control.registry.agent import AGENT as REGISTRY
from services.memory.knowledge_base.agent import AGENT as KNOWLEDGE_BASE
from services.memory.memory_client.agent import AGENT as MEMORY_CLIENT
from services.memory.namespace.agent import AGENT as NAMESPACE
from services.platform.event_store import AGENT as EVENT_STORE
from tests.cluster.aloud import Tell
from tests.cluster.eventually import eventually
from tests.cluster.fleets import Checkout, detached_fleet
from tests.cluster.remnants import Remnants
from tests.contract.tenancy.planting import PLANTED, WORD

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]
KEEPERS = tuple(planted.agent for planted in PLANTED)
AGENTS = (REGISTRY, FLEET_STATUS, MACHINE, EVENT_STORE, NAMESPACE, *KEEPERS)
SETTINGS = {KNOWLEDGE_BASE.name: {"without_own_documents": True}}
_OTHER_NAME = "namespaces/default/memories/c"
_OTHER = {"memory_id": "c", "memory": {"text": "Somebody else wound them.", "subjects": ["else"]}}


@pytest.fixture
async def fleet() -> AsyncIterator[Checkout]:
    async with detached_fleet(AGENTS, SETTINGS) as checkout:
        yield checkout


async def _call(fleet: Checkout, method: str, request: str) -> str:
    done = await fleet.tandem("call", method, request)
    assert done.returncode == 0, f"{method}: {done.stdout}{done.stderr}"
    return done.stdout


async def _exported(fleet: Checkout) -> set[str]:
    """The agents that still say something of it; ValueError while one of them is away."""
    done = await fleet.tandem("export", WORD, "--mentions", "--json")
    if done.returncode:
        raise ValueError(done.stderr)
    return {one["agent"] for one in json.loads(done.stdout)["records"]}


def _services(*agents: Any) -> set[str]:
    return {agent.promise.service.full_name for agent in agents}


async def test_everything_about_somebody_is_gone_from_every_file_of_a_fleet(
    fleet: Checkout, tell: Tell
) -> None:
    """Planted, kept over kill -9, found; and after the deletion in no byte that the fleet wrote,
    but in a checkpoint from before, which is not restored in silence.
    """
    search = Remnants(WORD)
    for planted in PLANTED:
        for method, request in planted.requests:
            await _call(fleet, method.path[1:], json_format.MessageToJson(request))
    await _call(fleet, "memory-memory-orchestrator/AddMemory", json.dumps(_OTHER))
    fleet.kill("agents")
    # The client's journal has been replayed by then, and its cache died with it.
    wanted = _services(*KEEPERS) - _services(MEMORY_CLIENT)
    await eventually(lambda: _exported(fleet), lambda found: found >= wanted, within_s=60)
    held = search.below(fleet.home.folder)
    assert {one.split("/")[1] for one in held if one.startswith("state/")} >= {
        agent.name for agent in KEEPERS if agent is not MEMORY_CLIENT
    }
    await fleet.told("checkpoint", "before")
    begun = await fleet.told("forget", WORD, "--mentions", "--yes", "--no-wait")
    fleet.kill("agents")

    async def standing() -> Any:
        done = await fleet.tandem(
            "call", "memory-namespace/GetDeletion", json.dumps({"name": begun["name"]}), "--json"
        )
        return json.loads(done.stdout)

    await eventually(standing, lambda found: "DELETION_STATE_COMPLETE" in str(found), within_s=60)
    assert await _exported(fleet) == set()
    left = search.below(fleet.folder)
    assert {one for one in left if not one.startswith("home/checkpoints/before/")} == set()
    assert left
    refused = await fleet.tandem("restore", "before", "--yes")
    assert refused.returncode == 1
    assert "what was deleted for good" in refused.stderr
    done = await fleet.told("forget", WORD, "--mentions", "--yes", "--checkpoints")
    assert (done["state"], done["checkpoints_deleted"]) == ("DELETION_STATE_COMPLETE", ["before"])
    assert search.below(fleet.folder) == set()
    asked = json.dumps({"name": _OTHER_NAME})
    kept = await _call(fleet, "memory-memory-orchestrator/GetMemory", asked)
    assert "Somebody else" in kept
    tell("files that held the word before", sorted(held))
