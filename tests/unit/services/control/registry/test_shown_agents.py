"""What is to be done so that people see the fleet as it is."""

from __future__ import annotations

from services.control.registry.shown_agents import Fleet, Plan, agents_of, plan_of
from tandem.control.v1 import registration_pb2 as nouns
from tandemkit.registry.consul_services import ServedAgent, Shown
from tandemkit.registry.protocol import Entry
from tests.unit.services.control.registry.hosts import host

NOTHING = Plan((), (), frozenset())


def entry(said: nouns.Host, hold: str = "one") -> Entry:
    return Entry(said.name, said.SerializeToString(), hold)


def fleet(*hosts: Entry, held: str = "", ended: str = "") -> Fleet:
    return Fleet(hosts, frozenset(held.split()), frozenset(ended.split()))


def shown(agent: ServedAgent) -> Shown:
    return Shown(agent.key, agent.hold, agent.mark)


def test_an_agent_is_shown_by_its_instance_with_what_people_ask_for() -> None:
    """Its name is the instance's, or the agent's short one; a contract of another form keeps its
    full name.
    """
    said = host()
    said.version = "v2"
    said.placements.add(service=said.placements[0].service, instance="utility-files-archive")
    said.placements.add(service="tandem.a.b.v1.OddService")
    agents = agents_of(entry(said))
    names = ["utility-files", "utility-files-archive", "tandem.a.b.v1.OddService"]
    assert [one.instance for one in agents] == names
    assert agents[0].tags == ("machine=laptop", "group=utility", "version=v2")
    assert (agents[0].key, agents[0].is_serving) == ("a:utility-files", True)
    assert not agents[1].is_serving


def test_a_host_held_here_is_announced_once() -> None:
    """What is shown as it is stays; a new lease is told, and who does not serve any more."""
    (agent,) = agents_of(entry(host()))
    here = fleet(entry(host()), held="one")
    assert plan_of(here, [], ()).announced == (agent,)
    assert plan_of(here, [shown(agent)], ()) == NOTHING
    anew = fleet(entry(host(), "two"), held="two")
    assert [one.hold for one in plan_of(anew, [shown(agent)], ()).announced] == ["two"]
    ill = fleet(entry(host(serving=False)), held="one")
    assert [one.is_serving for one in plan_of(ill, [shown(agent)], ()).announced] == [False]


def test_what_a_host_serves_no_more_goes() -> None:
    """Of a host that is held here, at once."""
    (agent,) = agents_of(entry(host()))
    empty = host()
    del empty.placements[:]
    plan = plan_of(fleet(entry(empty), held="one"), [shown(agent)], ())
    assert plan.withdrawn == (shown(agent),)


def test_another_controls_host_is_left_alone() -> None:
    """It lives, and is held elsewhere: neither announced nor withdrawn."""
    (agent,) = agents_of(entry(host()))
    assert plan_of(fleet(entry(host())), [shown(agent)], ()) == NOTHING
    assert plan_of(fleet(entry(host())), [], ()) == NOTHING


def test_a_host_that_was_seen_to_go_takes_its_agents_along() -> None:
    """At once, and nothing that was announced since under another lease."""
    (agent,) = agents_of(entry(host()))
    (later,) = agents_of(entry(host("hosts/b"), "two"))
    plan = plan_of(fleet(ended="one"), [shown(agent), shown(later)], ())
    assert plan.withdrawn == (shown(agent),)
    assert plan.doubted == {shown(later)}


def test_what_nobody_claims_goes_with_the_second_look() -> None:
    """Another control may have heard of the host before us; who left it behind is long dead."""
    (agent,) = agents_of(entry(host()))
    elsewhere = fleet(entry(host(), "two"))
    first = plan_of(elsewhere, [shown(agent)], ())
    assert first == Plan((), (), frozenset({shown(agent)}))
    second = plan_of(elsewhere, [shown(agent)], first.doubted)
    assert second == Plan((), (shown(agent),), frozenset())
