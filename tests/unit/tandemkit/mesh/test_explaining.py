"""What decided where a call went: the past tellings, and the route read out of one of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from tandemkit.mesh import past as past_module
from tandemkit.mesh.catalogue import Catalogue, Host, Standing
from tandemkit.mesh.explaining import Call, Explanation, explained, headers_of
from tandemkit.mesh.past import TELLINGS_MAX, Past, Told
from tandemkit.mesh.policy import Preference, ServicePolicy, Share, TrafficPolicy
from tandemkit.mesh.pools import NOWHERE
from tandemkit.testing.clock import FakeClock
from tests.unit.tandemkit.mesh.meshed import ALPHA, CONTRACTS, HERE, A, B, C, host

BLUE, GREEN = host("blue", 4, version="blue"), host("green", 5, version="green")
CANARY = TrafficPolicy(
    {
        ALPHA: ServicePolicy(
            shares=(Share("blue", 90), Share("green", 10)),
            preferences=(Preference("x-tester", "yes", "green"),),
        )
    },
    version=3,
)


def told(*hosts: Host, policy: TrafficPolicy | None = None, **standings: Standing) -> Told:
    catalogue = Catalogue(hosts, CONTRACTS, standings=standings)
    return Told(1, FakeClock().now(), catalogue, policy or TrafficPolicy(), "v")


def ask(one: Told, instance: str = "", **headers: str) -> Explanation:
    spelt = {name.replace("_", "-"): value for name, value in headers.items()}
    found = explained(one, Call(f"{ALPHA}/Ask", headers_of(instance, spelt), HERE))
    assert found is not None
    return found


def test_the_hosts_of_the_callers_machine_come_first() -> None:
    """By the very endpoints that clients are told."""
    (target,) = ask(told(A, B, C)).targets
    assert target.priorities == ((A, B), (C,))


def test_weights_and_the_header_that_leads_past_them() -> None:
    """A canary's shares, and all of a tester's calls to it."""
    one = told(BLUE, GREEN, policy=CANARY)
    assert [(to.version, to.weight) for to in ask(one).targets] == [("blue", 90), ("green", 10)]
    (target,) = ask(one, X_Tester="yes").targets
    assert (target.version, target.priorities) == ("green", ((GREEN,), (BLUE,)))


def test_who_was_left_out_and_why() -> None:
    """A reason for each host that has the agent and is no endpoint."""
    damped = replace(B, serving=False)
    policy = TrafficPolicy(drained=frozenset({"a"}))
    found = ask(told(A, damped, C, policy=policy, b=Standing.DAMPED))
    assert found.targets[0].priorities == ((C,),)
    assert [(one.name, why) for one, why in found.left_out] == [
        ("a", Standing.DRAINED_BY_POLICY),
        ("b", Standing.DAMPED),
    ]


def test_an_instance_that_nobody_has_leads_nowhere() -> None:
    """As the routes have it: such a call reaches no other instance."""
    assert [to.cluster for to in ask(told(A), "alpha-9").targets] == [NOWHERE]


def test_without_a_route_there_is_no_explanation() -> None:
    """Of an agent that the fleet does not have, and nobody to answer in its place."""
    assert explained(told(A), Call("trial.v1.Nobody/Ask", {})) is None


def at(past: Past, moment: datetime) -> int | None:
    found = past.at(moment)
    return found[0].revision if found else None


async def test_a_moment_has_the_telling_before_it() -> None:
    """With its end, where it has one; what was before the first is not known."""
    clock = FakeClock()
    past, start = Past(clock), clock.now()
    assert (past.begins, past.at(start)) == (None, None)
    await clock.advance(1)
    past.add(Catalogue((A,)), TrafficPolicy(), "1")
    past.add(Catalogue((A,)), TrafficPolicy(), "1")
    await clock.advance(1)
    past.add(Catalogue((A, B)), TrafficPolicy(), "1")
    moments = [start + timedelta(seconds=one) for one in (0.5, 1, 1.5, 2, 99)]
    assert [at(past, one) for one in moments] == [None, 1, 1, 2, 2]
    found = past.at(moments[1])
    assert found is not None
    assert found[1] == moments[3]


async def test_the_past_is_bounded_by_tellings_and_by_hosts() -> None:
    """The last one always stays."""
    clock = FakeClock()
    past = Past(clock)
    for number in range(TELLINGS_MAX + 10):
        past.add(Catalogue((A,)), TrafficPolicy(version=number), "1")
    found = past.at(clock.now())
    assert found is not None
    assert found[0].revision == TELLINGS_MAX + 10
    many = (A,) * (past_module.HOSTS_MAX // 2)
    for number in range(3):
        await clock.advance(1)
        past.add(Catalogue(many), TrafficPolicy(version=number), "1")
    assert past.begins == clock.now() - timedelta(seconds=1)
