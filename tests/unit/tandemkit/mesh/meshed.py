"""Catalogues for tests of the mesh, and what a client reads out of a snapshot."""

from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from tandemkit.mesh.catalogue import Catalogue, Host, Placement
from tandemkit.mesh.listeners import TARGET
from tandemkit.mesh.policy import TrafficPolicy
from tandemkit.mesh.snapshot import Snapshot, generation
from tests.cluster.mesh.trial_contract import ALPHA, BETA
from tests.cluster.mesh.trial_fleet import BOTH, CONTRACTS, GROUP, HERE, THERE

ONLY_ALPHA = (Placement(ALPHA),)


def host(name: str, port: int, machine: str = HERE, **more: Any) -> Host:
    said = {"group": GROUP, "placements": BOTH, **more}
    return Host(name=name, machine=machine, address="127.0.0.1", port=port, **said)


A, B, C = host("a", 1), host("b", 2), host("c", 3, THERE)


def snapshot(
    *hosts: Host, policy: TrafficPolicy | None = None, machine: str = HERE, front: str = ""
) -> Snapshot:
    catalogue = Catalogue(hosts, CONTRACTS, front=front)
    return generation(catalogue, policy or TrafficPolicy()).on(machine)


def routes_of(told: Snapshot) -> dict[str, Any]:
    """The routes without headers, by what they match."""
    found = RouteConfiguration.FromString(told.routes.by_name[TARGET].value)
    return {
        route.match.path or route.match.prefix: route.route
        for route in found.virtual_hosts[0].routes
        if not route.match.headers
    }


def cluster_of(told: Snapshot, method: str, service: str = ALPHA) -> str:
    """The cluster to which calls of a method go, found as clients find it."""
    routes = routes_of(told)
    action = routes.get(f"/{service}/{method}", routes[f"/{service}/"])
    return str(action.cluster)


def cluster(told: Snapshot, name: str) -> Any:
    return Cluster.FromString(told.clusters.by_name[name].value)


def priorities(told: Snapshot, name: str) -> list[set[int]]:
    """The ports of each priority, in order."""
    found = ClusterLoadAssignment.FromString(told.endpoints.by_name[name].value)
    ports: dict[int, set[int]] = {}
    for locality in found.endpoints:
        for one in locality.lb_endpoints:
            port = one.endpoint.address.socket_address.port_value
            ports.setdefault(locality.priority, set()).add(port)
    return [ports[priority] for priority in sorted(ports)]


__all__ = ["ALPHA", "BETA", "CONTRACTS", "GROUP", "HERE", "THERE"]
