"""Pools as xDS clusters and their endpoints."""

from __future__ import annotations

from collections.abc import Iterator

from envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.cluster.v3.outlier_detection_pb2 import OutlierDetection
from envoy.config.core.v3.base_pb2 import Locality
from envoy.config.core.v3.config_source_pb2 import AggregatedConfigSource, ApiVersion, ConfigSource
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from google.protobuf.duration_pb2 import Duration
from google.protobuf.wrappers_pb2 import UInt32Value, UInt64Value

from tandemkit.mesh.catalogue import Host
from tandemkit.mesh.pools import Pool

# Every resource comes over the one stream on which its name was learned.
SOURCE = ConfigSource(ads=AggregatedConfigSource(), resource_api_version=ApiVersion.V3)
# gRPC clients hold no larger ring whatever they are told.
_RING_ENTRIES_MIN, _RING_ENTRIES_MAX = 1024, 4096
# An endpoint is ejected when more than 90 % of at least 3 calls in 3 s failed: a quiet agent sees
# no more than that. gRPC counts a caller's own mistakes too, so at most half go, and for 5 s.
_EJECTION = OutlierDetection(
    interval=Duration(seconds=3),
    base_ejection_time=Duration(seconds=5),
    max_ejection_time=Duration(seconds=30),
    max_ejection_percent=UInt32Value(value=50),
    enforcing_success_rate=UInt32Value(value=0),
    failure_percentage_threshold=UInt32Value(value=90),
    enforcing_failure_percentage=UInt32Value(value=100),
    failure_percentage_minimum_hosts=UInt32Value(value=2),
    failure_percentage_request_volume=UInt32Value(value=3),
)


def cluster_of(pool: Pool, calls_max: int) -> Cluster:
    """A sticky one has no ejection: an instance that one caller turns from and another does not
    makes a session live twice.
    """
    limits = CircuitBreakers.Thresholds(max_requests=UInt32Value(value=calls_max))
    cluster = Cluster(
        name=pool.name,
        type=Cluster.EDS,
        eds_cluster_config=Cluster.EdsClusterConfig(eds_config=SOURCE),
        circuit_breakers=CircuitBreakers(thresholds=[limits]),
    )
    if pool.sticky:
        cluster.lb_policy = Cluster.RING_HASH
        ring = cluster.ring_hash_lb_config
        ring.minimum_ring_size.CopyFrom(UInt64Value(value=_RING_ENTRIES_MIN))
        ring.maximum_ring_size.CopyFrom(UInt64Value(value=_RING_ENTRIES_MAX))
    else:
        cluster.lb_policy = Cluster.ROUND_ROBIN
        cluster.outlier_detection.CopyFrom(_EJECTION)
    return cluster


def endpoints_of(pool: Pool, machine: str) -> ClusterLoadAssignment:
    """What a caller on `machine` is told. Priorities have no gaps, for clients refuse those."""
    told = ClusterLoadAssignment(cluster_name=pool.name)
    for priority, (hosts, zones, tier) in enumerate(priorities_of(pool, machine)):
        # gRPC for Java forgets a locality that comes again at another priority.
        behind = f"behind-{tier}" if tier else ""
        for zone in zones:
            here = [host for host in hosts if not zone or host.machine == zone]
            locality = told.endpoints.add(
                priority=priority, locality=Locality(zone=zone, sub_zone=behind)
            )
            # Localities share by weight, so this gives each endpoint the same part.
            locality.load_balancing_weight.value = len(here)
            for host in here:
                socket = locality.lb_endpoints.add().endpoint.address.socket_address
                socket.address, socket.port_value = host.address, host.port
    return told


def priorities_of(pool: Pool, machine: str) -> Iterator[tuple[list[Host], list[str], int]]:
    """Hosts of one priority each, with the zones to put them in and the tier that they are of."""
    for number, tier in enumerate(pool.tiers):
        if pool.sticky:
            split = [(list(tier), [""])]
        else:
            near = [host for host in tier if host.machine == machine]
            far = [host for host in tier if host.machine != machine]
            split = [(hosts, sorted({host.machine for host in hosts})) for hosts in (near, far)]
        yield from ((hosts, zones, number) for hosts, zones in split if hosts)
