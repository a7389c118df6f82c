"""Each thing that a client would refuse is found, and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from tandemkit.mesh.listeners import TARGET, packed
from tandemkit.mesh.policy import Fault, Preference, ServicePolicy, TrafficPolicy
from tandemkit.mesh.snapshot import Resources, Snapshot
from tandemkit.mesh.validation import objections
from tests.unit.tandemkit.mesh.meshed import ALPHA, GROUP, A, B, C, snapshot

RING = f"{GROUP}~ring"
Spoil = Callable[[Any], Any]


def spoilt(part: str, kind: Any, name: str, spoil: Spoil) -> Snapshot:
    """A good snapshot with one resource changed by hand."""
    good = snapshot(A, B, C)
    resources: Resources = getattr(good, part)
    message = kind.FromString(resources.by_name[name].value)
    spoil(message)
    by_name = {**resources.by_name, name: packed(message)}
    return replace(good, **{part: Resources(resources.type_url, by_name)})


def weighted(message: Any) -> None:
    message.virtual_hosts[0].routes[1].route.weighted_clusters.clusters.add(name=GROUP)


ENDPOINTS: list[tuple[Spoil, str]] = [
    (lambda one: one.endpoints[1].__setattr__("priority", 2), "gaps"),
    (lambda one: one.endpoints.add().CopyFrom(one.endpoints[0]), "locality twice"),
    (
        lambda one: one.endpoints[1].locality.CopyFrom(one.endpoints[0].locality),
        "locality twice",
    ),
    (lambda one: one.endpoints[0].ClearField("load_balancing_weight"), "without weight"),
    (lambda one: one.endpoints[0].lb_endpoints.extend(one.endpoints[1].lb_endpoints), "twice"),
    (
        lambda one: (
            one.endpoints[0]
            .lb_endpoints[0]
            .endpoint.address.socket_address.__setattr__("address", "localhost")
        ),
        "no IP address",
    ),
]
CLUSTERS: list[tuple[Spoil, str]] = [
    (lambda one: one.__setattr__("type", Cluster.STATIC), "same stream"),
    (lambda one: one.__setattr__("lb_policy", Cluster.MAGLEV), "not every client knows"),
    (lambda one: one.eds_cluster_config.__setattr__("service_name", "x"), "are not there"),
    (lambda one: one.ring_hash_lb_config.minimum_ring_size.__setattr__("value", 1), "impossible"),
    (lambda one: one.outlier_detection.max_ejection_percent.__setattr__("value", 101), "more than"),
]
ROUTES: list[tuple[Spoil, str]] = [
    (lambda one: one.virtual_hosts[0].routes[1].route.__setattr__("cluster", "x"), "is not there"),
    (weighted, "come to nothing"),
    (lambda one: one.virtual_hosts[0].routes[0].match.headers.add(name="X-Big"), "lower case"),
    (
        lambda one: one.virtual_hosts[0].routes[0].match.headers.add(name="x", invert_match=True),
        "do not agree",
    ),
    (lambda one: one.virtual_hosts[0].ClearField("domains"), "without a domain"),
    (
        lambda one: one.virtual_hosts[0].routes[1].route.retry_policy.num_retries.Clear(),
        "less than once",
    ),
]
LISTENERS: list[tuple[Spoil, str]] = [(lambda one: one.ClearField("api_listener"), "no HTTP")]
SPOILT = [
    *(("endpoints", ClusterLoadAssignment, GROUP, *case) for case in ENDPOINTS),
    *(("clusters", Cluster, GROUP, *case) for case in CLUSTERS),
    *(("routes", RouteConfiguration, TARGET, *case) for case in ROUTES),
    *(("listeners", Listener, TARGET, *case) for case in LISTENERS),
]


@pytest.mark.parametrize(("part", "kind", "name", "spoil", "said"), SPOILT)
def test_a_spoilt_resource_is_objected_to(
    part: str, kind: Any, name: str, spoil: Spoil, said: str
) -> None:
    """The objection names the resource and says what is wrong with it."""
    found = objections(spoilt(part, kind, name, spoil))
    assert any(one.startswith(f"{name}: ") and said in one for one in found), found


def test_a_ring_with_two_priorities_is_objected_to() -> None:
    """Clients would take it, and let a session live twice."""

    def split(one: Any) -> None:
        one.endpoints.add().CopyFrom(one.endpoints[0])
        one.endpoints[1].priority = 1

    assert any("live twice" in one for one in objections(spoilt(*_RING, split)))


_RING = ("endpoints", ClusterLoadAssignment, RING)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (ServicePolicy(fault=Fault(101, abort_code=14)), "more than all calls"),
        (ServicePolicy(fault=Fault(1, abort_code=17)), "gRPC does not have"),
        (ServicePolicy(fault=Fault(1, delay_s=-1)), "by nothing"),
        (ServicePolicy(preferences=(Preference("X-Tester", "1", "v2"),)), "lower case"),
    ],
)
def test_a_policy_that_clients_would_refuse_is_objected_to(
    policy: ServicePolicy, said: str
) -> None:
    """What an operator may say by mistake is caught before it is told."""
    found = objections(snapshot(A, policy=TrafficPolicy({ALPHA: policy})))
    assert any(said in one for one in found), found


def test_what_is_known_to_be_good_is_not_looked_at_again() -> None:
    """A change is checked alone, unless names changed with it."""
    bad = spoilt("endpoints", ClusterLoadAssignment, GROUP, ENDPOINTS[0][0])
    assert objections(bad, good=bad) == []
    assert objections(bad, good=snapshot(A)) != []
