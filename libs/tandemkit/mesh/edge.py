"""What an Envoy at the fleet's edge is told: the snapshot of gRPC's clients, in words that make it
treat a call as they do.

docs/design/edge.md says why each of them is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from weakref import WeakKeyDictionary

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.common.mutation_rules.v3.mutation_rules_pb2 import HeaderMutation
from envoy.config.core.v3.base_pb2 import DataSource, HeaderValue, HeaderValueOption
from envoy.config.core.v3.protocol_pb2 import Http2ProtocolOptions, KeepaliveSettings
from envoy.config.route.v3.route_components_pb2 import (
    DirectResponseAction,
    HeaderMatcher,
    RetryPolicy,
    Route,
    RouteAction,
    RouteMatch,
)
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.cors.v3.cors_pb2 import CorsPolicy
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2 as mutation
from envoy.extensions.filters.http.upstream_codec.v3.upstream_codec_pb2 import UpstreamCodec
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as connection,
)
from envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2 import PreviousHostsPredicate
from envoy.extensions.retry.priority.previous_priorities.v3 import (
    previous_priorities_config_pb2 as priorities,
)
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.wrappers_pb2 import UInt32Value

from tandemkit.mesh.listeners import duration, packed
from tandemkit.mesh.snapshot import Resources, Snapshot

CORS_FILTER = "envoy.filters.http.cors"
PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_WINDOW_BYTES, _CONNECTION_WINDOW_BYTES = 1 << 20, 16 << 20
_CONNECT_S = 1.0
# A call that no host has seen may go to another whatever its contract says: gRPC's core does so
# without being asked.
_UNSEEN = "connect-failure,refused-stream,reset-before-request"
_LOST = f"unavailable,reset,{_UNSEEN}"
_RETRY = RetryPolicy(
    num_retries=UInt32Value(value=1),
    host_selection_retry_max_attempts=5,
    retry_host_predicate=[
        RetryPolicy.RetryHostPredicate(
            name="envoy.retry_host_predicates.previous_hosts",
            typed_config=packed(PreviousHostsPredicate()),
        )
    ],
    retry_priority=RetryPolicy.RetryPriority(
        name="envoy.retry_priorities.previous_priorities",
        typed_config=packed(priorities.PreviousPrioritiesConfig(update_frequency=1)),
    ),
)
# Envoy knows no pushback. What bears this header it does not send again.
_NO_RETRY = "x-envoy-ratelimited"
_PUSHBACK = mutation.HeaderMutation(
    mutations=mutation.Mutations(
        response_mutations=[
            HeaderMutation(
                append=HeaderValueOption(
                    header=HeaderValue(key=_NO_RETRY, value="%RESP(grpc-retry-pushback-ms)%"),
                    append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
                )
            )
        ]
    )
)
# Whether a page may call at all is decided before, by the listener: it knows the origins.
_PAGES = CorsPolicy(
    allow_origin_string_match=[StringMatcher(safe_regex=RegexMatcher(regex=".*"))],
    allow_methods="POST",
    allow_headers="*,authorization",
    expose_headers="*,grpc-status,grpc-message,grpc-status-details-bin",
    max_age="600",
)
_PREFLIGHT = "access-control-request-method"
_ONLY_CALLS = "This address answers gRPC and gRPC-Web calls, which are POST requests.\n"


class EdgeView:
    """Snapshots for Envoys. Made when the first one asks; what did not change for gRPC's clients
    stays the very object that it was.
    """

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[Resources, Resources] = WeakKeyDictionary()
        self._known: dict[str, Mapping[str, tuple[Packed, Packed]]] = {}

    def of(self, snapshot: Snapshot) -> Snapshot:
        """Endpoints are the same, and the listener is the edge's own."""
        return replace(
            snapshot,
            routes=self._adapted(snapshot.routes, _routes_of),
            clusters=self._adapted(snapshot.clusters, _cluster_of),
        )

    def _adapted(self, resources: Resources, adapt: Callable[[Packed], Packed]) -> Resources:
        if resources not in self._made:
            known = self._known.get(resources.type_url, {})
            pairs = {
                name: known[name] if name in known and known[name][0] is one else (one, adapt(one))
                for name, one in resources.by_name.items()
            }
            self._known[resources.type_url] = pairs
            by_name = {name: made for name, (_, made) in pairs.items()}
            self._made[resources] = Resources(resources.type_url, by_name)
        return self._made[resources]


def _routes_of(told: Packed) -> Packed:
    routes = RouteConfiguration.FromString(told.value)
    for host in routes.virtual_hosts:
        calls = list(host.routes)
        may_repeat = [one.route.HasField("retry_policy") for one in calls]
        common = 2 * sum(may_repeat) > len(calls)
        host.retry_policy.CopyFrom(_retry(may_repeat=common))
        for route, may in zip(calls, may_repeat, strict=True):
            _adapt(route.route, None if may is common else _retry(may_repeat=may))
        del host.routes[:]
        host.routes.append(_refusal())
        host.routes.extend(calls)
        host.typed_per_filter_config[CORS_FILTER].CopyFrom(packed(_PAGES))
        host.response_headers_to_remove.append(_NO_RETRY)
    return packed(routes)


def _adapt(action: RouteAction, retry: RetryPolicy | None) -> None:
    """Envoy's own limit of 15 s goes. A deadline that the caller sent is kept by caller and host:
    kept here too, it would break streams off before those can say why.
    """
    if not action.HasField("max_stream_duration"):
        action.max_stream_duration.max_stream_duration.CopyFrom(Duration())
    action.ClearField("retry_policy")
    if retry is not None:
        action.retry_policy.CopyFrom(retry)


def _retry(*, may_repeat: bool) -> RetryPolicy:
    told = RetryPolicy()
    told.CopyFrom(_RETRY)
    told.retry_on = _LOST if may_repeat else _UNSEEN
    return told


def _refusal() -> Route:
    """To whoever neither calls nor asks, as browsers do, whether a page may."""
    call = StringMatcher(exact="POST")
    others = [
        HeaderMatcher(name=":method", string_match=call, invert_match=True),
        HeaderMatcher(name=_PREFLIGHT, present_match=True, invert_match=True),
    ]
    said = DirectResponseAction(status=405, body=DataSource(inline_string=_ONLY_CALLS))
    return Route(match=RouteMatch(prefix="/", headers=others), direct_response=said)


def _cluster_of(told: Packed) -> Packed:
    cluster = Cluster.FromString(told.value)
    cluster.connect_timeout.CopyFrom(duration(_CONNECT_S))
    # Endpoints that are late must not count as none.
    cluster.eds_cluster_config.eds_config.initial_fetch_timeout.CopyFrom(Duration())
    cluster.typed_extension_protocol_options[PROTOCOL_OPTIONS].CopyFrom(packed(_upstream()))
    for limits in cluster.circuit_breakers.thresholds:
        # Envoy's own are for 3 retries at a time: fewer than are under way when a host dies.
        limits.max_pending_requests.CopyFrom(limits.max_requests)
        limits.max_retries.CopyFrom(limits.max_requests)
    if cluster.HasField("outlier_detection"):
        # Five answers in a row that the caller brought about must not cost a host its place; five
        # connections that failed do.
        cluster.outlier_detection.split_external_local_origin_errors = True
        cluster.outlier_detection.enforcing_consecutive_5xx.CopyFrom(UInt32Value(value=0))
    return packed(cluster)


def _upstream() -> HttpProtocolOptions:
    options = HttpProtocolOptions(
        http_filters=[
            connection.HttpFilter(
                name="envoy.filters.http.header_mutation", typed_config=packed(_PUSHBACK)
            ),
            connection.HttpFilter(
                name="envoy.filters.http.upstream_codec", typed_config=packed(UpstreamCodec())
            ),
        ]
    )
    options.explicit_http_config.http2_protocol_options.CopyFrom(http2(2.0, 1.0))
    return options


def http2(ping_s: float, answer_s: float) -> Http2ProtocolOptions:
    """A connection that pings when it is quiet, so that a dead link shows."""
    return Http2ProtocolOptions(
        connection_keepalive=KeepaliveSettings(
            interval=duration(ping_s), timeout=duration(answer_s)
        ),
        initial_stream_window_size=UInt32Value(value=_WINDOW_BYTES),
        initial_connection_window_size=UInt32Value(value=_CONNECTION_WINDOW_BYTES),
    )
