"""What contracts, hosts and policy come to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.mesh.catalogue import Catalogue, Host, Placement
from tandemkit.mesh.policy import Fault, Preference, ServicePolicy, Share, TrafficPolicy
from tandemkit.mesh.pools import NOWHERE
from tandemkit.mesh.routes import SLACK_S
from tandemkit.mesh.snapshot import Generation, Snapshot, generation
from tandemkit.mesh.validation import objections
from tests.cluster.mesh.trial_contract import AFFINITY, WAIT_MS
from tests.unit.tandemkit.mesh.meshed import (
    ALPHA,
    BETA,
    CONTRACTS,
    GROUP,
    HERE,
    ONLY_ALPHA,
    THERE,
    A,
    B,
    C,
    cluster,
    cluster_of,
    host,
    priorities,
    routes_of,
    snapshot,
)


def changed(was: Snapshot, now: Snapshot) -> list[frozenset[str]]:
    """The names of clusters, endpoints, listeners and routes that the later one tells anew."""
    return [new.changed_since(old) for old, new in zip(was.parts, now.parts, strict=True)]


def follow(*steps: tuple[Host, ...], policies: tuple[TrafficPolicy, ...] = ()) -> list[Snapshot]:
    """A control plane's snapshots, each made from the one before."""
    made: Generation | None = None
    told: list[Snapshot] = []
    for number, hosts in enumerate(steps):
        policy = policies[number] if policies else TrafficPolicy()
        new = generation(Catalogue(hosts, CONTRACTS), policy, made)
        before = (made, told[-1]) if made else None
        told.append(new.on(HERE, before))
        made = new
    return told


def test_agents_of_the_same_hosts_share_a_cluster() -> None:
    """Clients connect once per cluster and endpoint, so a group of hosts is one cluster."""
    told = snapshot(A, B, C)
    assert cluster_of(told, "Ask") == cluster_of(told, "Add", BETA) == GROUP
    assert set(told.clusters.by_name) == {GROUP, f"{GROUP}~ring", NOWHERE}


def test_the_callers_machine_comes_first_and_there_is_no_gap() -> None:
    """Own hosts, then the others'; with none of its own a caller's first priority is the others."""
    assert priorities(snapshot(A, B, C), GROUP) == [{1, 2}, {3}]
    assert priorities(snapshot(A, B, C, machine=THERE), GROUP) == [{3}, {1, 2}]
    assert priorities(snapshot(C), GROUP) == [{3}]
    assert priorities(snapshot(A, B, C, machine="a laptop"), GROUP) == [{1, 2, 3}]


def test_a_ring_is_the_same_for_every_caller() -> None:
    """One priority and equal bytes on every machine, or a session would live twice."""
    name = f"{GROUP}~ring"
    near, far = snapshot(A, B, C), snapshot(A, B, C, machine=THERE)
    assert cluster_of(near, "Stick") == name
    assert priorities(near, name) == [{1, 2, 3}]
    assert near.endpoints.by_name[name] == far.endpoints.by_name[name]
    assert cluster(near, name).lb_policy == Cluster.RING_HASH
    assert routes_of(near)[f"/{ALPHA}/Stick"].hash_policy[0].header.header_name == AFFINITY


def test_only_what_may_be_done_twice_is_retried() -> None:
    """Once, for UNAVAILABLE; a method that only a newer contract knows is not."""
    routes = routes_of(snapshot(A))
    retried = {path: route.retry_policy.num_retries.value for path, route in routes.items()}
    rest = f"/{ALPHA}/"
    assert retried[rest] == 0
    assert {path for path in retried if path.startswith(rest) and retried[path]} == {
        f"{rest}Ask",
        f"{rest}Wait",
        f"{rest}Stick",
    }
    assert routes[f"{rest}Ask"].retry_policy.retry_on == "unavailable"


def test_a_route_outlasts_the_servers_own_deadline_by_a_little() -> None:
    """The exact deadline is the server's, which can say why; the route ends what says nothing."""
    limit = routes_of(snapshot(A))[f"/{ALPHA}/Wait"].max_stream_duration.max_stream_duration
    assert limit.ToTimedelta().total_seconds() == pytest.approx(WAIT_MS / 1000 + SLACK_S)


def test_a_host_that_dies_changes_endpoints_and_nothing_else() -> None:
    """And so does one that comes back."""
    dead = replace(A, serving=False)
    alive, without, again = follow((A, B, C), (dead, B, C), (A, B, C))
    rings = frozenset({GROUP, f"{GROUP}~ring"})
    assert changed(alive, without) == [frozenset(), rings, frozenset(), frozenset()]
    assert changed(without, again) == [frozenset(), rings, frozenset(), frozenset()]
    assert priorities(without, GROUP) == [{2}, {3}]


def test_the_last_host_that_dies_leaves_an_empty_cluster() -> None:
    """The routes still lead there, so that its coming back is a change of endpoints too."""
    alive, dead = follow((A,), (replace(A, serving=False),))
    assert priorities(dead, GROUP) == []
    assert alive.routes is dead.routes


def test_a_sick_agent_leaves_alone() -> None:
    """It gets a cluster of its own without that host; the other agents' traffic stays as it was."""
    sick = replace(A, placements=(Placement(ALPHA, serving=False), Placement(BETA)))
    told = snapshot(sick, B)
    own = f"{GROUP}/{ALPHA}"
    assert cluster_of(told, "Ask") == own
    assert priorities(told, own) == [{2}]
    assert cluster_of(told, "Ask", BETA) == GROUP
    assert priorities(told, GROUP) == [{1, 2}]


def test_an_agent_without_a_host_is_answered_at_once_by_nobody() -> None:
    """Its routes lead to a cluster that is there and empty."""
    told = snapshot(replace(A, placements=ONLY_ALPHA))
    assert cluster_of(told, "Ask", BETA) == NOWHERE
    assert priorities(told, NOWHERE) == []
    assert objections(told) == []


def test_a_drained_host_gets_no_new_calls() -> None:
    """Drain is an operator's way of saying what a dead host says by being dead."""
    told = snapshot(A, B, policy=TrafficPolicy(drained=frozenset({"a"})))
    assert priorities(told, GROUP) == [{2}]


def test_shares_are_between_versions_and_not_for_sessions() -> None:
    """Each version is a cluster whose other hosts wait behind it; affinity overrides shares."""
    blue, green = replace(A, version="blue"), replace(B, version="green")
    shares = (Share("blue", 9), Share("green", 1), Share("gone", 0))
    policy = TrafficPolicy({ALPHA: ServicePolicy(shares)})
    told = snapshot(blue, green, policy=policy)
    weighted = routes_of(told)[f"/{ALPHA}/Ask"].weighted_clusters.clusters
    names = {one.name: one.weight.value for one in weighted}
    assert names == {f"{GROUP}@blue": 9, f"{GROUP}@green": 1}
    assert priorities(told, f"{GROUP}@green") == [{2}, {1}]
    assert cluster_of(told, "Stick") == f"{GROUP}~ring"
    assert cluster_of(told, "Ask", BETA) == GROUP


def test_a_fault_brings_its_filter_and_takes_it_away_again() -> None:
    """The filter costs every call a little, so it is there only while a fault is."""
    fault = TrafficPolicy({ALPHA: ServicePolicy(fault=Fault(percent=0.5, abort_code=14))})
    without, faulty, undone = follow(
        (A,), (A,), (A,), policies=(TrafficPolicy(), fault, TrafficPolicy())
    )
    names = frozenset({"tandem"})
    assert changed(without, faulty) == [frozenset(), frozenset(), names, names]
    assert [part.version for part in undone.parts] == [part.version for part in without.parts]


def test_the_hosts_of_the_front_answer_what_no_contract_names() -> None:
    """Reflection and health of the fleet stand on the same target; one that is sick does not."""
    assert routes_of(snapshot(A, front=ALPHA))[""].cluster == GROUP
    sick = host("d", 4, placements=(Placement(ALPHA, serving=False), Placement(BETA)))
    told = snapshot(A, sick, front=ALPHA)
    assert priorities(told, routes_of(told)[""].cluster) == [{1}]
    assert "" not in routes_of(snapshot(A))


HOSTS = st.lists(
    st.builds(
        host,
        name=st.uuids().map(str),
        port=st.integers(1, 65535),
        machine=st.sampled_from((HERE, THERE)),
        group=st.sampled_from(("one", "two")),
        version=st.sampled_from(("", "blue", "green")),
        serving=st.booleans(),
        placements=st.lists(
            st.builds(
                Placement,
                st.sampled_from((ALPHA, BETA)),
                st.sampled_from(("", "trial-alpha-other")),
                st.booleans(),
            ),
            unique_by=lambda one: (one.service, one.instance),
        ).map(tuple),
    ),
    max_size=6,
    unique_by=lambda one: one.port,
).map(tuple)
POLICIES = st.builds(
    TrafficPolicy,
    st.dictionaries(
        st.sampled_from((ALPHA, BETA)),
        st.builds(
            ServicePolicy,
            st.sampled_from(((), (Share("blue", 1),), (Share("blue", 9), Share("green", 1)))),
            st.sampled_from(((), (Preference("x-tester", "yes", "green"),))),
            st.sampled_from((None, Fault(10.0, abort_code=14), Fault(100.0, delay_s=0.1))),
        ),
    ),
)


@given(st.lists(st.tuples(HOSTS, POLICIES), min_size=1, max_size=3))
def test_a_snapshot_is_whole_and_does_not_depend_on_what_was_before(
    steps: list[tuple[tuple[Host, ...], TrafficPolicy]],
) -> None:
    """Whatever happened, nothing is named that is not there, and the bytes are those of a control
    plane that starts now and lists the hosts the other way round.
    """
    told = follow(*(hosts for hosts, _ in steps), policies=tuple(policy for _, policy in steps))
    hosts, policy = steps[-1]
    fresh = generation(Catalogue(hosts[::-1], CONTRACTS[::-1]), policy).on(HERE)
    assert objections(fresh) == []
    assert [part.version for part in told[-1].parts] == [part.version for part in fresh.parts]
