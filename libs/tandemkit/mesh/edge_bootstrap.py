"""What an Envoy has to know before it can ask: where it listens, and where its control planes are.
What to do with a call it is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from envoy.config.bootstrap.v3.bootstrap_pb2 import Admin, Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.address_pb2 import Address, Pipe, SocketAddress
from envoy.config.core.v3.backoff_pb2 import BackoffStrategy
from envoy.config.core.v3.base_pb2 import Locality, RetryPolicy
from envoy.config.core.v3.base_pb2 import Node as Caller
from envoy.config.core.v3.config_source_pb2 import ApiConfigSource, ApiVersion, ConfigSource
from envoy.config.core.v3.grpc_service_pb2 import GrpcService
from envoy.config.endpoint.v3.endpoint_components_pb2 import LbEndpoint
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.overload.v3.overload_pb2 import OverloadManager, ResourceMonitor
from envoy.extensions.resource_monitors.downstream_connections.v3 import (
    downstream_connections_pb2 as downstream,
)
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from google.protobuf.duration_pb2 import Duration

from tandemkit.core.errors import Bug
from tandemkit.mesh.bootstrap import Node
from tandemkit.mesh.clusters import SOURCE
from tandemkit.mesh.edge import PROTOCOL_OPTIONS, http2
from tandemkit.mesh.edge_listener import listener_on
from tandemkit.mesh.listeners import duration, packed
from tandemkit.mesh.streams import EDGE

# No group has such a name.
_CONTROL = "~control"
_CONNECTIONS_MAX = 10_000
_RECONNECT_S_MIN, _RECONNECT_S_MAX = 0.1, 2.0
_PING_S, _PONG_S = 2.0, 1.0
_CONNECT_S = 1.0


@dataclass(frozen=True, slots=True)
class Edge:
    """One address for clients that know nothing of xDS.

    Of the `control_planes`, as `host:port`, one is asked, and another where it falls silent. Pages
    of `origins` may call. `secret` is the file of `secret_of`; None: plain.
    """

    node: Node
    address: str
    port: int
    control_planes: Sequence[str]
    admin: Path
    origins: Sequence[str] = ()
    secret: Path | None = None


def bootstrap_of(edge: Edge) -> Bootstrap:
    """Says nothing of calls: until a control plane has, the edge does not answer."""
    if not edge.control_planes:
        raise Bug("an edge needs a control plane", node=edge.node.id)
    source = ConfigSource()
    source.CopyFrom(SOURCE)
    source.initial_fetch_timeout.CopyFrom(Duration())
    told = Bootstrap(
        node=Caller(id=edge.node.id, cluster=EDGE, locality=Locality(zone=edge.node.machine)),
        admin=Admin(address=Address(pipe=Pipe(path=str(edge.admin), mode=0o600))),
        overload_manager=_bounds(),
    )
    address = Address(socket_address=SocketAddress(address=edge.address, port_value=edge.port))
    told.static_resources.listeners.append(listener_on(address, source, edge.origins, edge.secret))
    told.static_resources.clusters.append(_control(edge.control_planes))
    told.dynamic_resources.cds_config.CopyFrom(source)
    told.dynamic_resources.ads_config.CopyFrom(_discovery())
    return told


def _discovery() -> ApiConfigSource:
    again = BackoffStrategy(
        base_interval=duration(_RECONNECT_S_MIN), max_interval=duration(_RECONNECT_S_MAX)
    )
    service = GrpcService(
        envoy_grpc=GrpcService.EnvoyGrpc(
            cluster_name=_CONTROL, retry_policy=RetryPolicy(retry_back_off=again)
        )
    )
    return ApiConfigSource(
        api_type=ApiConfigSource.GRPC,
        transport_api_version=ApiVersion.V3,
        grpc_services=[service],
        set_node_on_first_message_only=True,
    )


def _control(control_planes: Sequence[str]) -> Cluster:
    """In turn, so that a stream that broke is tried again at the other one."""
    cluster = Cluster(
        name=_CONTROL,
        type=Cluster.STRICT_DNS,
        lb_policy=Cluster.ROUND_ROBIN,
        connect_timeout=duration(_CONNECT_S),
        load_assignment=ClusterLoadAssignment(cluster_name=_CONTROL),
    )
    options = HttpProtocolOptions()
    options.explicit_http_config.http2_protocol_options.CopyFrom(http2(_PING_S, _PONG_S))
    cluster.typed_extension_protocol_options[PROTOCOL_OPTIONS].CopyFrom(packed(options))
    endpoints = cluster.load_assignment.endpoints.add()
    for one in control_planes:
        host, _, port = one.rpartition(":")
        socket = SocketAddress(address=host.strip("[]"), port_value=int(port))
        endpoint = LbEndpoint()
        endpoint.endpoint.address.socket_address.CopyFrom(socket)
        endpoints.lb_endpoints.append(endpoint)
    return cluster


def _bounds() -> OverloadManager:
    """Connections are files, and those are not without end."""
    limit = downstream.DownstreamConnectionsConfig(
        max_active_downstream_connections=_CONNECTIONS_MAX
    )
    name = "envoy.resource_monitors.global_downstream_max_connections"
    return OverloadManager(
        resource_monitors=[ResourceMonitor(name=name, typed_config=packed(limit))]
    )
