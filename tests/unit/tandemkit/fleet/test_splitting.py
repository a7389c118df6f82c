"""An agent that harms its neighbours leaves them, in the plan."""

from __future__ import annotations

import pytest
from google.protobuf import text_format

from tandem.fleet.v1 import plan_pb2 as pb
from tandem.fleet.v1 import resources_pb2 as kinds
from tandemkit.fleet.splitting import CannotSplit, split_off
from tests.unit.tandemkit.fleet.planted import Planted, hosts


def planned_mib(plan: pb.Plan, pool: kinds.MemoryPool.ValueType) -> int:
    return next(one.planned_mib for one in plan.machines[0].pools if one.pool == pool)


def test_the_agent_has_a_host_of_its_own() -> None:
    """With what it had, and ports that are still to be chosen."""
    before = Planted().plan()
    found = split_off(before, "big", "text", "text-tell")
    old, new = hosts(found)["text"], hosts(found)["text-text-tell"]
    assert [one.name for one in old.agents] == ["text-guard", "text-sum"]
    assert new.agents[0] == hosts(before)["text"].agents[2]
    assert (new.memory_mib, new.grpc_port, new.http_port) == (50 + 64, 0, 0)
    assert old.memory_mib == hosts(before)["text"].memory_mib - 50
    assert planned_mib(found, new.pool) == planned_mib(before, new.pool) + 64
    assert "text-text-tell" in found.layers[new.layer].hosts


def test_all_others_stay_as_they_are() -> None:
    """So that none of them is started again."""
    before = Planted().plan()
    untouched = text_format.MessageToString(before)
    found = split_off(before, "big", "text", "text-tell")
    assert text_format.MessageToString(before) == untouched
    for name in ("control", "look", "text-2"):
        assert hosts(found)[name] == hosts(before)[name]
    assert hosts(found)["text"].grpc_port == hosts(before)["text"].grpc_port
    others = [name for layer in found.layers for name in layer.hosts if name != "text-text-tell"]
    assert others == [name for layer in before.layers for name in layer.hosts]


def test_a_host_whose_first_agent_leaves_starts_with_the_next() -> None:
    """Its layer is that of its first agent."""
    plan = Planted().plan()
    for agent in ("text-guard", "text-sum"):
        plan = split_off(plan, "big", "text", agent)
    assert hosts(plan)["text"].layer == 2
    assert tuple(plan.layers[2].hosts) == ("text",)


@pytest.mark.parametrize(
    ("host", "agent", "said"),
    [
        ("control", "control-registry", "it is alone already"),
        ("text", "text-other", "there is no such agent on the host"),
        ("other", "text-tell", "there is no such agent on the host"),
    ],
)
def test_who_cannot_leave_stays(host: str, agent: str, said: str) -> None:
    """And the reason is told."""
    with pytest.raises(CannotSplit, match=said):
        split_off(Planted().plan(), "big", host, agent)


def test_a_full_pool_has_no_room_for_a_process() -> None:
    """Nothing is given away twice, at run time neither."""
    plan = Planted().plan()
    for pool in plan.machines[0].pools:
        pool.memory_mib = pool.planned_mib + 63
    with pytest.raises(CannotSplit, match="its pool has no memory"):
        split_off(plan, "big", "text", "text-tell")
