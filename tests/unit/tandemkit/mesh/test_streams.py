"""The protocol of one stream, as a client would speak it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse

from tandemkit.mesh.catalogue import Catalogue
from tandemkit.mesh.listeners import TARGET
from tandemkit.mesh.policy import TrafficPolicy
from tandemkit.mesh.pools import NOWHERE
from tandemkit.mesh.snapshot import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Snapshot, generation
from tandemkit.mesh.streams import Stream
from tandemkit.testing.logs import lines_of
from tests.unit.tandemkit.mesh.meshed import CONTRACTS, GROUP, HERE, A, B, snapshot

_KINDS: dict[str, Any] = {
    CLUSTER: Cluster,
    ENDPOINTS: ClusterLoadAssignment,
    LISTENER: Listener,
    ROUTES: RouteConfiguration,
}


def request(type_url: str, *names: str, answers: Any = None, cause: str = "") -> DiscoveryRequest:
    asked = DiscoveryRequest(type_url=type_url, resource_names=names)
    if answers is not None:
        asked.response_nonce = answers.nonce
        asked.version_info = answers.version_info
    if cause:
        asked.error_detail.message = cause
    return asked


def told(stream: Stream, known: Snapshot) -> list[Any]:
    return [DiscoveryResponse.FromString(wire) for wire in stream.due(known)]


def names(response: Any) -> list[str]:
    """What a response names, whatever its type."""
    found = []
    for packed in response.resources:
        message = _KINDS[packed.type_url].FromString(packed.value)
        found.append(getattr(message, "cluster_name", "") or message.name)
    return sorted(found)


def two_generations() -> tuple[Snapshot, Snapshot]:
    """The second lost a host."""
    first = generation(Catalogue((A, B), CONTRACTS), TrafficPolicy())
    known = first.on(HERE)
    second = generation(Catalogue((A,), CONTRACTS), TrafficPolicy(), first)
    return known, second.on(HERE, (first, known))


def test_an_answer_comes_once() -> None:
    """Asked and answered; an acceptance of the answer asks for nothing."""
    stream, known = Stream(), snapshot(A)
    stream.take(request(LISTENER, TARGET))
    (response,) = told(stream, known)
    assert names(response) == [TARGET]
    stream.take(request(LISTENER, TARGET, answers=response))
    assert told(stream, known) == []
    assert stream.subscriptions[LISTENER].accepted_version == response.version_info


def test_clusters_and_endpoints_come_before_what_names_them() -> None:
    """One request of each type, taken in any order, is answered in the order of telling."""
    stream = Stream()
    for type_url in (ROUTES, LISTENER):
        stream.take(request(type_url, TARGET))
    for type_url in (ENDPOINTS, CLUSTER):
        stream.take(request(type_url, GROUP))
    answered = [response.type_url for response in told(stream, snapshot(A))]
    assert answered == [CLUSTER, ENDPOINTS, LISTENER, ROUTES]


def test_a_lost_host_is_told_to_those_who_asked_for_its_endpoints() -> None:
    """Nothing but the endpoints that changed is sent, and only of what was asked for."""
    stream = Stream()
    was, now = two_generations()
    stream.take(request(CLUSTER, GROUP, NOWHERE))
    stream.take(request(ENDPOINTS, GROUP, NOWHERE))
    assert len(told(stream, was)) == 2
    (response,) = told(stream, now)
    assert response.type_url == ENDPOINTS
    assert names(response) == [GROUP]
    other = Stream()
    other.take(request(ENDPOINTS, NOWHERE))
    assert len(told(other, was)) == 1
    assert told(other, now) == []


def test_what_is_asked_for_in_addition_is_all_that_is_sent() -> None:
    """Endpoints come in parts; of clusters each answer is the whole."""
    stream, known = Stream(), snapshot(A)
    stream.take(request(ENDPOINTS, GROUP))
    stream.take(request(CLUSTER, GROUP))
    clusters, endpoints = told(stream, known)
    stream.take(request(ENDPOINTS, GROUP, NOWHERE, answers=endpoints))
    stream.take(request(CLUSTER, GROUP, NOWHERE, answers=clusters))
    clusters, endpoints = told(stream, known)
    assert names(clusters) == sorted((GROUP, NOWHERE))
    assert names(endpoints) == [NOWHERE]


def test_asking_for_less_is_not_answered() -> None:
    """A client that lets go of a name hears nothing; one that takes it again hears all of it."""
    stream, known = Stream(), snapshot(A)
    stream.take(request(ENDPOINTS, GROUP, NOWHERE))
    (response,) = told(stream, known)
    stream.take(request(ENDPOINTS, NOWHERE, answers=response))
    assert told(stream, known) == []
    stream.take(request(ENDPOINTS, GROUP, NOWHERE, answers=response))
    (again,) = told(stream, known)
    assert names(again) == [GROUP]


def test_what_crossed_a_newer_response_is_ignored() -> None:
    """The client repeats what it wants when it answers the newer one."""
    stream, known = Stream(), snapshot(A)
    stream.take(request(ENDPOINTS, GROUP))
    (first,) = told(stream, known)
    stream.take(request(ENDPOINTS, GROUP, NOWHERE, answers=first))
    (second,) = told(stream, known)
    assert second.nonce != first.nonce
    stream.take(request(ENDPOINTS, GROUP, "late", answers=first))
    assert told(stream, known) == []


def test_a_refusal_is_logged_and_not_answered(caplog: pytest.LogCaptureFixture) -> None:
    """Sending the same again would be refused again; the next version is sent as ever."""
    stream = Stream()
    was, now = two_generations()
    asked = request(ENDPOINTS, GROUP)
    asked.node.id = "client-1"
    stream.take(asked)
    (response,) = told(stream, was)
    with caplog.at_level(logging.ERROR):
        stream.take(request(ENDPOINTS, GROUP, answers=response, cause="odd\nport"))
    assert [line.getMessage() for line in lines_of(caplog, "tandemkit.mesh")] == [
        "mesh.refused_by_client"
    ]
    assert stream.subscriptions[ENDPOINTS].objection == "odd\nport"
    assert told(stream, was) == []
    (response,) = told(stream, now)
    stream.take(request(ENDPOINTS, GROUP, answers=response))
    assert stream.subscriptions[ENDPOINTS].objection == ""


def test_endpoints_that_nobody_knows_are_none() -> None:
    """A client that got no answer would wait 15 s with all its calls."""
    stream = Stream()
    stream.take(request(ENDPOINTS, "nobody's"))
    (response,) = told(stream, snapshot(A))
    assert names(response) == ["nobody's"]


def test_a_listener_that_nobody_knows_is_answered_by_its_absence() -> None:
    """The client learns at once that the target does not exist."""
    stream = Stream()
    stream.take(request(LISTENER, "tandme"))
    (response,) = told(stream, snapshot(A))
    assert names(response) == []


def test_all_clusters_come_to_who_names_none() -> None:
    """The wildcard, for clients such as Envoy."""
    stream, known = Stream(), snapshot(A)
    stream.take(request(CLUSTER))
    (response,) = told(stream, known)
    assert names(response) == sorted(known.clusters.by_name)
    stream.take(request(CLUSTER, answers=response))
    assert told(stream, known) == []


def test_clients_that_ask_the_same_get_the_same_bytes() -> None:
    """A response is encoded once however many clients there are; only the nonce is their own."""
    known = snapshot(A)
    bodies = [id(known.endpoints.body(frozenset((GROUP, NOWHERE)))) for _ in range(2)]
    assert bodies[0] == bodies[1]


def test_a_type_that_we_do_not_serve_is_not_answered() -> None:
    """Secrets, runtime and the like have other servers."""
    stream = Stream()
    stream.take(request("type.googleapis.com/envoy.service.runtime.v3.Runtime", "x"))
    assert told(stream, snapshot(A)) == []
