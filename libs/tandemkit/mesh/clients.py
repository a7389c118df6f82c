"""What gRPC's clients make of what they are told, by language. They ignore what they do not know
without a word, so it has to be known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from tandemkit.mesh.listeners import TARGET
from tandemkit.mesh.snapshot import Snapshot

Version = tuple[int, int]


class Language(Enum):
    """Implementations of gRPC that speak xDS. C_CORE is Python's, C++'s and Ruby's too."""

    C_CORE = "c-core"
    GO = "go"
    JAVA = "java"
    NODE = "node"


class Feature(Enum):
    """What a snapshot may ask of a client beyond routing and balancing."""

    DEADLINE = "a route's deadline"
    FAULT = "injected faults"
    HEADER_MATCH = "routes chosen by header"
    LIMIT = "a limit of calls in progress"
    EJECTION = "ejection of failing endpoints"
    RETRY = "one more attempt"
    RING = "affinity by header"
    FALLBACK = "a second control plane"


def _since(c_core: Version, go: Version, java: Version) -> dict[Language, Version]:
    return {Language.C_CORE: c_core, Language.GO: go, Language.JAVA: java}


# The first version that honours a feature; a language without one ignores it. From gRPC's table,
# doc/grpc_xds_features.md. Node counts in versions of its xDS package.
MATRIX: Mapping[Feature, Mapping[Language, Version]] = {
    Feature.DEADLINE: _since((1, 37), (1, 37), (1, 37)) | {Language.NODE: (1, 4)},
    Feature.FAULT: _since((1, 37), (1, 37), (1, 37)) | {Language.NODE: (1, 4)},
    Feature.HEADER_MATCH: _since((1, 56), (1, 56), (1, 53)) | {Language.NODE: (1, 9)},
    Feature.LIMIT: _since((1, 37), (1, 37), (1, 37)) | {Language.NODE: (1, 4)},
    Feature.EJECTION: _since((1, 51), (1, 50), (1, 49)) | {Language.NODE: (1, 7)},
    Feature.RETRY: _since((1, 40), (1, 41), (1, 40)) | {Language.NODE: (1, 8)},
    Feature.RING: _since((1, 40), (1, 41), (1, 40)) | {Language.NODE: (1, 10)},
    Feature.FALLBACK: _since((1, 67), (1, 70), (1, 71)),
}


def used(snapshot: Snapshot) -> frozenset[Feature]:
    """The features that a snapshot asks for. FALLBACK is the bootstrap's and never among them."""
    found: set[Feature] = set()
    routes = RouteConfiguration.FromString(snapshot.routes.by_name[TARGET].value)
    for host in routes.virtual_hosts:
        for route in host.routes:
            asked = {
                Feature.DEADLINE: route.route.HasField("max_stream_duration"),
                Feature.RETRY: route.route.HasField("retry_policy"),
                Feature.HEADER_MATCH: bool(route.match.headers),
                Feature.FAULT: bool(route.typed_per_filter_config),
            }
            found.update(feature for feature, is_asked in asked.items() if is_asked)
    for packed in snapshot.clusters.by_name.values():
        cluster = Cluster.FromString(packed.value)
        asked = {
            Feature.LIMIT: cluster.HasField("circuit_breakers"),
            Feature.EJECTION: cluster.HasField("outlier_detection"),
            Feature.RING: cluster.lb_policy == Cluster.RING_HASH,
        }
        found.update(feature for feature, is_asked in asked.items() if is_asked)
    return frozenset(found)


def ignored(snapshot: Snapshot, language: Language, version: Version) -> frozenset[Feature]:
    """What such a client would pass over in silence. An old one refuses a ring altogether."""
    return frozenset(
        feature
        for feature in used(snapshot)
        if language not in MATRIX[feature] or MATRIX[feature][language] > version
    )
