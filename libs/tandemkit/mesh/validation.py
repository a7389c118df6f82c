"""What a client would refuse, found before it is told: one bad value makes it refuse all of a
response, and then it hears of no failover either.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import ip_address

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import Route
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as connection,
)
from envoy.type.v3.percent_pb2 import FractionalPercent
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import DecodeError, Message

from tandemkit.mesh.snapshot import Snapshot

_UINT32_MAX = 2**32 - 1
_PRIORITIES_MAX = 128
_RING_ENTRIES_MAX = 8 * 1024 * 1024
_CODES_MAX = 16
# Envoy refuses what is no token of HTTP's.
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_FRACTIONS = {
    FractionalPercent.HUNDRED: 100,
    FractionalPercent.TEN_THOUSAND: 10_000,
    FractionalPercent.MILLION: 1_000_000,
}


def objections(snapshot: Snapshot, good: Snapshot | None = None) -> list[str]:
    """Why it must not be told, one sentence each; empty for a good one.

    What it shares with one that is known to be `good` is not looked at again, as long as both have
    the same names.
    """
    found: list[str] = []
    known = _known(snapshot, good)
    for resources, check in (
        (snapshot.listeners, _of_listener),
        (snapshot.routes, _of_routes),
        (snapshot.clusters, _of_cluster),
        (snapshot.endpoints, _of_endpoints),
    ):
        for name, packed in resources.by_name.items():
            if id(packed) not in known:
                found += (f"{name}: {said}" for said in _decoded(packed, check, snapshot))
    return found


def _known(snapshot: Snapshot, good: Snapshot | None) -> set[int]:
    if good is None or any(
        good_ones.by_name.keys() != ones.by_name.keys()
        for good_ones, ones in zip(good.parts, snapshot.parts, strict=True)
    ):
        return set()
    return {id(packed) for part in good.parts for packed in part.by_name.values()}


def _decoded(packed: Packed, check: Callable[..., Iterator[str]], snapshot: Snapshot) -> list[str]:
    kind = _KINDS[check]
    message = kind()
    try:
        message.ParseFromString(packed.value)
    except DecodeError:
        return [f"is no {kind.DESCRIPTOR.full_name}"]
    return list(check(message, snapshot))


def _of_listener(listener: Listener, snapshot: Snapshot) -> Iterator[str]:
    manager = connection.HttpConnectionManager()
    if not listener.api_listener.api_listener.Unpack(manager):
        yield "has no HTTP connection manager"
        return
    filters = [one.name for one in manager.http_filters]
    if len(set(filters)) < len(filters) or not all(filters):
        yield "has filters without a name of their own"
    if not filters or not manager.http_filters[-1].typed_config.type_url.endswith(".Router"):
        yield "does not end in the router filter"
    if manager.rds.route_config_name not in snapshot.routes.by_name:
        yield f"names routes {manager.rds.route_config_name!r}, which are not there"


def _of_routes(routes: RouteConfiguration, snapshot: Snapshot) -> Iterator[str]:
    for host in routes.virtual_hosts:
        if not host.domains:
            yield "has a virtual host without a domain"
        for route in host.routes:
            where = route.match.path or route.match.prefix
            yield from (f"{where}: {said}" for said in _of_route(route, snapshot))


def _of_route(route: Route, snapshot: Snapshot) -> Iterator[str]:
    weighted = route.route.weighted_clusters.clusters
    weights = [one.weight.value for one in weighted]
    if weighted and not 0 < sum(weights) <= _UINT32_MAX:
        yield "has weights that come to nothing or to too much"
    names = [one.name for one in weighted] or [route.route.cluster]
    for name in names:
        if name not in snapshot.clusters.by_name:
            yield f"leads to cluster {name!r}, which is not there"
    if route.route.HasField("retry_policy") and route.route.retry_policy.num_retries.value < 1:
        yield "retries less than once"
    headers = [one.name for one in route.match.headers]
    headers += [one.header.header_name for one in route.route.hash_policy]
    if not all(map(_HEADER.fullmatch, headers)):
        yield "names a header that is empty, not in lower case, or none of HTTP"
    sure = {one.name for one in route.match.headers if one.present_match and not one.invert_match}
    if any(one.invert_match and one.name not in sure for one in route.match.headers):
        yield "has a header that is not to be so, and whose absence clients do not agree about"
    if route.route.max_stream_duration.max_stream_duration.ToNanoseconds() < 0:
        yield "ends calls before they begin"
    for fault in route.typed_per_filter_config.values():
        yield from _of_fault(fault)


def _of_fault(packed: Packed) -> Iterator[str]:
    fault = HTTPFault()
    if not packed.Unpack(fault):
        yield "has settings for a filter that clients do not know"
        return
    for share in (fault.abort.percentage, fault.delay.percentage):
        if share.numerator > _FRACTIONS.get(share.denominator, 0):
            yield "has a fault for more than all calls"
    if fault.HasField("abort") and not 0 < fault.abort.grpc_status <= _CODES_MAX:
        yield "ends calls with a code that gRPC does not have"
    if fault.HasField("delay") and fault.delay.fixed_delay.ToNanoseconds() <= 0:
        yield "delays calls by nothing"


def _of_cluster(cluster: Cluster, snapshot: Snapshot) -> Iterator[str]:
    if cluster.type != Cluster.EDS or not cluster.eds_cluster_config.eds_config.HasField("ads"):
        yield "does not get its endpoints from the same stream"
    asked = cluster.eds_cluster_config.service_name or cluster.name
    if asked not in snapshot.endpoints.by_name:
        yield f"asks for endpoints {asked!r}, which are not there"
    if cluster.lb_policy not in {Cluster.ROUND_ROBIN, Cluster.RING_HASH}:
        yield "balances in a way that not every client knows"
    ring = cluster.ring_hash_lb_config
    if not ring.minimum_ring_size.value <= ring.maximum_ring_size.value <= _RING_ENTRIES_MAX:
        yield "has a ring of an impossible size"
    outlier = cluster.outlier_detection
    percents = (
        outlier.max_ejection_percent,
        outlier.enforcing_success_rate,
        outlier.enforcing_failure_percentage,
        outlier.failure_percentage_threshold,
    )
    if any(one.value > 100 for one in percents):
        yield "ejects more than all"


def _of_endpoints(told: ClusterLoadAssignment, snapshot: Snapshot) -> Iterator[str]:
    priorities = {one.priority for one in told.endpoints}
    if priorities != set(range(len(priorities))) or len(priorities) > _PRIORITIES_MAX:
        yield "has gaps between its priorities, or too many"
    # At two priorities it would be right, but gRPC for Java then forgets one of them.
    places = Counter(
        (one.locality.region, one.locality.zone, one.locality.sub_zone) for one in told.endpoints
    )
    if places and max(places.values()) > 1:
        yield "has a locality twice"
    if any(one.load_balancing_weight.value < 1 for one in told.endpoints):
        yield "has a locality without weight, which clients leave out"
    yield from _of_addresses(told)
    if len(priorities) > 1 and _is_ring(snapshot, told.cluster_name):
        yield "has several priorities for a ring: a session would live twice"


def _of_addresses(told: ClusterLoadAssignment) -> Iterator[str]:
    sockets = [
        one.endpoint.address.socket_address
        for locality in told.endpoints
        for one in locality.lb_endpoints
    ]
    seen = Counter((one.address, one.port_value) for one in sockets)
    for (address, port), count in seen.items():
        if not is_address(address) or not 0 < port < 65536:
            yield f"has {address!r} port {port}, which is no IP address with a port"
        if count > 1:
            yield f"has {address}:{port} twice"


def is_address(text: str) -> bool:
    """As clients take it: a number, for they refuse names."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_ring(snapshot: Snapshot, name: str) -> bool:
    found = snapshot.clusters.by_name.get(name)
    return found is not None and Cluster.FromString(found.value).lb_policy == Cluster.RING_HASH


_KINDS: dict[Callable[..., Iterator[str]], type[Message]] = {
    _of_listener: Listener,
    _of_routes: RouteConfiguration,
    _of_cluster: Cluster,
    _of_endpoints: ClusterLoadAssignment,
}
