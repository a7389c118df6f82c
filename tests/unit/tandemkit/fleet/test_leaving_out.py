"""Plans without hosts that cannot run."""

from __future__ import annotations

from tandemkit.fleet.leaving_out import leave_out
from tests.unit.tandemkit.fleet.planted import Planted, hosts


def test_hosts_that_cannot_run_are_left_out_with_the_reason() -> None:
    """Their agents are named as absent, and nobody waits for them any more."""
    plan = Planted().plan()
    leave_out(plan, {"look": "there is no Node"})
    assert "look" not in hosts(plan)
    assert [(one.name, one.why) for one in plan.absent] == [
        ("look-draw", "there is no Node"),
        ("look-see", "there is no Node"),
    ]
    told = {name for layer in plan.layers for name in (*layer.hosts, *layer.agents)}
    assert not told & {"look", "look-see", "look-draw"}


def test_who_cannot_do_without_an_absent_agent_is_absent_too() -> None:
    """Their host goes on with the others, and goes too where it has no agent left."""
    plan = Planted().plan()
    apart = plan.machines[0].hosts.add(name="apart")
    tell = next(one for one in hosts(plan)["text"].agents if one.name == "text-tell")
    apart.agents.append(tell)
    hosts(plan)["text"].agents.remove(tell)
    leave_out(plan, {"text": "no room", "text-2": "no room"})
    assert {one.name: one.why for one in plan.absent} == {
        "text-guard": "no room",
        "text-sum": "no room",
        "text-tell": "it cannot do without text-sum, which is absent",
    }
    assert set(hosts(plan)) == {"control", "look"}
