"""What an Envoy is told, against what gRPC's clients are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from hypothesis import given

from tandemkit.core.errors import Bug
from tandemkit.mesh.bootstrap import Node
from tandemkit.mesh.edge import EdgeView
from tandemkit.mesh.edge_bootstrap import Edge, bootstrap_of
from tandemkit.mesh.listeners import TARGET
from tandemkit.mesh.policy import TrafficPolicy
from tandemkit.mesh.snapshot import CLUSTER, ENDPOINTS, Snapshot
from tandemkit.mesh.streams import EDGE, Stream
from tandemkit.mesh.validation import objections
from tests.unit.tandemkit.mesh.meshed import ALPHA, GROUP, HERE, A, B, C, routes_of, snapshot
from tests.unit.tandemkit.mesh.test_snapshot import HOSTS, POLICIES, follow
from tests.unit.tandemkit.mesh.test_streams import names, request, told


def grpc_routes(view: Snapshot) -> list[Any]:
    found = RouteConfiguration.FromString(view.routes.by_name[TARGET].value)
    return [one for one in found.virtual_hosts[0].routes if one.HasField("route")]


@given(HOSTS, POLICIES)
def test_routes_lead_where_those_of_grpc_lead(hosts: Any, policy: TrafficPolicy) -> None:
    """Same matches, same clusters, same order, for any fleet and policy."""
    core = snapshot(*hosts, policy=policy)
    view = EdgeView().of(core)
    # The one route that is none of gRPC's: what refuses requests that are no calls.
    assert {said.split(": ")[1] for said in objections(view)} == {"/"}
    assert view.endpoints is core.endpoints
    wanted = RouteConfiguration.FromString(core.routes.by_name[TARGET].value)
    pairs = zip(grpc_routes(view), wanted.virtual_hosts[0].routes, strict=True)
    for made, one in pairs:
        assert made.match == one.match
        assert made.route.weighted_clusters == one.route.weighted_clusters
        assert made.route.cluster == one.route.cluster
        assert made.typed_per_filter_config == one.typed_per_filter_config


def test_what_did_not_change_stays_the_object_that_it_was() -> None:
    """A lost host costs an Envoy its endpoints, as it does all others."""
    view = EdgeView()
    was, now = (view.of(one) for one in follow((A, B, C), (B, C)))
    assert was.routes is now.routes
    assert now.clusters.changed_since(was.clusters) == frozenset()
    assert now.endpoints.changed_since(was.endpoints) == frozenset((GROUP, f"{GROUP}~ring"))


def test_a_route_sets_envoys_own_limit_aside() -> None:
    """Where the contract has a deadline it stays; where it has none, there is none."""
    core = snapshot(A, front=GROUP)
    limits = {
        one.match.path or one.match.prefix: one.route.max_stream_duration.max_stream_duration
        for one in grpc_routes(EdgeView().of(core))
        if not one.match.headers
    }
    assert limits[""].ToNanoseconds() == 0
    for path, one in routes_of(core).items():
        if path:
            assert limits[path] == one.max_stream_duration.max_stream_duration


def retried(view: Snapshot) -> dict[str, set[str]]:
    """When a call is sent again, by what its route matches: the route's own word, or that of all
    routes.
    """
    found = RouteConfiguration.FromString(view.routes.by_name[TARGET].value).virtual_hosts[0]
    return {
        one.match.path or one.match.prefix: set(
            (one.route.retry_policy.retry_on or found.retry_policy.retry_on).split(",")
        )
        for one in found.routes
        if one.HasField("route") and not one.match.headers
    }


def test_what_may_be_done_once_is_sent_again_only_where_nobody_saw_it() -> None:
    """Answers are a reason to try again for methods that may be done twice, and for those alone."""
    unseen = {"connect-failure", "refused-stream", "reset-before-request"}
    found = retried(EdgeView().of(snapshot(A)))
    assert found[f"/{ALPHA}/"] == unseen
    assert found[f"/{ALPHA}/Ask"] == {*unseen, "unavailable", "reset"}


def test_an_envoy_hears_endpoints_again_when_their_cluster_changed() -> None:
    """It makes the cluster anew and waits for them; gRPC's clients keep what they have."""
    view = EdgeView()
    policies = (TrafficPolicy(), TrafficPolicy(calls_max=5))
    was, now = follow((A,), (A,), policies=policies)
    for cluster, expected in ((EDGE, [CLUSTER, ENDPOINTS]), ("tandem", [CLUSTER])):
        stream = Stream()
        first = request(CLUSTER)
        first.node.cluster = cluster
        stream.take(first)
        stream.take(request(ENDPOINTS, GROUP))
        seen = view.of if cluster == EDGE else _same
        assert len(told(stream, seen(was))) == 2
        answers = told(stream, seen(now))
        assert [one.type_url for one in answers] == expected
        if cluster == EDGE:
            assert names(answers[1]) == [GROUP]


def _same(core: Snapshot) -> Snapshot:
    return core


def test_clusters_speak_http2_and_count_failed_connections() -> None:
    """What gRPC's clients do by themselves has to be said."""
    view = EdgeView().of(snapshot(A, B))
    cluster = Cluster.FromString(view.clusters.by_name[GROUP].value)
    assert list(cluster.typed_extension_protocol_options)
    assert cluster.outlier_detection.split_external_local_origin_errors
    limits = cluster.circuit_breakers.thresholds[0]
    assert limits.max_retries == limits.max_requests


def test_the_same_input_gives_the_same_bytes() -> None:
    """Two control planes that know the same say the same."""
    one, other = (EdgeView().of(snapshot(*hosts)) for hosts in ((A, B), (B, A)))
    assert [part.version for part in one.parts] == [part.version for part in other.parts]


EDGE_HERE = Edge(Node("edge", HERE), "127.0.0.1", 0, ("127.0.0.1:8200",), Path("/run/admin.sock"))


def test_an_edge_without_a_control_plane_is_a_bug() -> None:
    """It would wait for ever."""
    with pytest.raises(Bug):
        bootstrap_of(replace(EDGE_HERE, control_planes=()))


def test_the_admin_interface_is_for_its_owner_alone() -> None:
    """Whoever reaches it may read everything and end the edge."""
    pipe = bootstrap_of(EDGE_HERE).admin.address.pipe
    assert (pipe.path, pipe.mode) == ("/run/admin.sock", 0o600)


def test_an_address_of_either_kind_names_a_control_plane() -> None:
    """IPv6 stands in brackets, as everywhere."""
    told = bootstrap_of(replace(EDGE_HERE, control_planes=("[::1]:8200", "localhost:8201")))
    (cluster,) = told.static_resources.clusters
    sockets = [
        one.endpoint.address.socket_address
        for one in cluster.load_assignment.endpoints[0].lb_endpoints
    ]
    assert [(one.address, one.port_value) for one in sockets] == [
        ("::1", 8200),
        ("localhost", 8201),
    ]
