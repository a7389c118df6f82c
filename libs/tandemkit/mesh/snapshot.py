"""One consistent set of resources: whatever one names is in it, if only as something empty."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cached_property
from weakref import WeakKeyDictionary

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryResponse
from google.protobuf.any_pb2 import Any as Packed

from tandemkit.mesh.catalogue import Catalogue
from tandemkit.mesh.clusters import SOURCE, cluster_of, endpoints_of
from tandemkit.mesh.listeners import TARGET, listener_of, packed
from tandemkit.mesh.policy import ServicePolicy, TrafficPolicy
from tandemkit.mesh.pools import Pool, Pools, Wish
from tandemkit.mesh.routes import clusters_by_service, foretelling, route_configuration
from tandemkit.mesh.sets import Sets
from tandemkit.rpc.contract import Contract

_PREFIX = "type.googleapis.com/"
LISTENER, ROUTES, CLUSTER, ENDPOINTS = (
    _PREFIX + kind.DESCRIPTOR.full_name
    for kind in (Listener, RouteConfiguration, Cluster, ClusterLoadAssignment)
)
_VERSION_BYTES = 8
# Different questions that clients ask of one version; they are few, for all get the same routes.
_KEPT_MAX = 64


@dataclass(frozen=True, eq=False)
class Resources:
    """All resources of one type by name. An unchanged one is the very object it was before.

    Many clients ask the same, so what was worked out for one is kept for all.
    """

    type_url: str
    by_name: Mapping[str, Packed]
    _bodies: dict[frozenset[str], bytes] = field(default_factory=dict)
    # Weak, or each would keep all that came before it.
    _changed: WeakKeyDictionary[Resources, frozenset[str]] = field(
        default_factory=WeakKeyDictionary
    )

    @cached_property
    def version(self) -> str:
        """A digest of the content: two control planes that know the same say the same."""
        digest = hashlib.blake2b(digest_size=_VERSION_BYTES)
        for name in sorted(self.by_name):
            digest.update(self.by_name[name].value)
        return digest.hexdigest()

    def body(self, names: frozenset[str]) -> bytes:
        """A response with those of `names` that there are, but for its nonce."""
        if names not in self._bodies:
            if len(self._bodies) >= _KEPT_MAX:
                self._bodies.clear()
            found = (self.by_name[name] for name in sorted(names) if name in self.by_name)
            told = DiscoveryResponse(
                version_info=self.version, type_url=self.type_url, resources=found
            )
            self._bodies[names] = told.SerializeToString(deterministic=True)
        return self._bodies[names]

    def changed_since(self, earlier: Resources | None) -> frozenset[str]:
        """The names of those that are new or other than they were."""
        if earlier is None:
            return frozenset(self.by_name)
        if earlier not in self._changed:
            was = earlier.by_name
            changed = (name for name, one in self.by_name.items() if was.get(name) is not one)
            self._changed[earlier] = frozenset(changed)
        return self._changed[earlier]

    def with_those_of(self, earlier: Resources, names: AbstractSet[str]) -> Resources:
        """Its own, and of the earlier ones those that it has no more."""
        kept = {name: earlier.by_name[name] for name in sorted(names)}
        return Resources(self.type_url, {**kept, **self.by_name})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a client on one machine is told."""

    listeners: Resources
    routes: Resources
    clusters: Resources
    endpoints: Resources

    @property
    def parts(self) -> tuple[Resources, ...]:
        """In the order in which to tell them: what is named before what names it."""
        return self.clusters, self.endpoints, self.listeners, self.routes

    def keeping(self, names: AbstractSet[str], earlier: Snapshot) -> Snapshot:
        """With clusters of an earlier one besides its own."""
        if not names:
            return self
        return replace(
            self,
            clusters=self.clusters.with_those_of(earlier.clusters, names),
            endpoints=self.endpoints.with_those_of(earlier.endpoints, names),
        )

    def foretelling(self, new: Snapshot, names: AbstractSet[str]) -> Snapshot:
        """What stands between this and `new`: the endpoints are new, calls still go by the old
        routes, and clusters of these names are there to be known.
        """
        gone = self.clusters.by_name.keys() - new.clusters.by_name.keys()
        routes = foretelling(_unpacked(self.routes), names)
        told = Resources(ROUTES, {TARGET: packed(routes)})
        return replace(new.keeping(gone, self), listeners=self.listeners, routes=told)


@dataclass(frozen=True, slots=True)
class _Shape:
    """All that routes depend on. While it stays the same, so do they, whatever endpoints do."""

    contracts: tuple[Contract, ...]
    front: str
    services: Mapping[str, ServicePolicy]
    names: Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class Generation:
    """What is the same for all machines. Made from the one before it, whose bytes it shares where
    nothing changed.
    """

    shape: _Shape
    sets: Sets
    calls_max: int
    pools: Mapping[str, Pool]
    wishes: tuple[Wish, ...]
    listeners: Resources
    routes: Resources
    clusters: Resources

    def on(self, machine: str, before: tuple[Generation, Snapshot] | None = None) -> Snapshot:
        """For callers on `machine`; `before` is what they were told of an earlier generation."""
        earlier, told = before or (None, None)
        known = told.endpoints.by_name if told else {}
        endpoints = {
            name: known[name]
            if earlier and earlier.pools.get(name) == pool
            else _same(packed(endpoints_of(pool, machine)), known.get(name))
            for name, pool in self.pools.items()
        }
        return Snapshot(self.listeners, self.routes, self.clusters, Resources(ENDPOINTS, endpoints))

    def unheard_of(self, before: Generation) -> frozenset[str]:
        """New clusters to which calls of agents go that clients know already."""
        if self.routes is before.routes or self.pools.keys() <= before.pools.keys():
            return frozenset()
        were = clusters_by_service(_unpacked(before.routes))
        now = clusters_by_service(_unpacked(self.routes))
        wanted = {name for service in now.keys() & were.keys() for name in now[service]}
        return frozenset(wanted - before.pools.keys())


def generation(
    catalogue: Catalogue, policy: TrafficPolicy, before: Generation | None = None
) -> Generation:
    """Everything that a catalogue and a policy come to. The same input gives the same bytes."""
    sets = Sets.of(catalogue, policy.drained, before.sets if before else None)
    pools = Pools(sets)
    shape = _Shape(catalogue.contracts, catalogue.front, policy.services, sets.names)
    if before is not None and before.shape == shape:
        for wish in before.wishes:
            pools.wish(wish)
        routes = before.routes
    else:
        told = packed(route_configuration(catalogue, policy, pools))
        routes = _single(ROUTES, told, before.routes if before else None)
    listener = packed(listener_of(SOURCE, faulty=policy.faulty))
    known = before.clusters.by_name if before and before.calls_max == policy.calls_max else {}
    clusters = {
        name: known.get(name) or packed(cluster_of(pool, policy.calls_max))
        for name, pool in pools.named.items()
    }
    return Generation(
        shape=shape,
        sets=sets,
        calls_max=policy.calls_max,
        pools=pools.named,
        wishes=tuple(pools.wishes),
        listeners=_single(LISTENER, listener, before.listeners if before else None),
        routes=routes,
        clusters=_all(CLUSTER, clusters, before.clusters if before else None),
    )


def _all(type_url: str, told: Mapping[str, Packed], before: Resources | None) -> Resources:
    if before is not None and before.by_name == told:
        return before
    return Resources(type_url, told)


def _unpacked(routes: Resources) -> RouteConfiguration:
    return RouteConfiguration.FromString(routes.by_name[TARGET].value)


def _single(type_url: str, told: Packed, before: Resources | None) -> Resources:
    return _all(type_url, {TARGET: told}, before)


def _same(told: Packed, before: Packed | None) -> Packed:
    """The object that it was, if it says the same: that is how others see that nothing changed."""
    return before if before is not None and before == told else told
