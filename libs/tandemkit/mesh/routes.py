"""Contracts and policy as xDS routes: which call goes to which pool, for how long, and whether once
more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from envoy.config.route.v3.route_components_pb2 import (
    HeaderMatcher,
    RetryPolicy,
    Route,
    RouteAction,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
)
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.wrappers_pb2 import UInt32Value

from tandemkit.mesh.catalogue import Catalogue
from tandemkit.mesh.listeners import FAULT_FILTER, TARGET, duration, fault_of, packed
from tandemkit.mesh.policy import ServicePolicy, Share, TrafficPolicy
from tandemkit.mesh.pools import Pools, Wish
from tandemkit.rpc.contract import UNARY_DEADLINE_S, Contract
from tandemkit.rpc.local import INSTANCE_HEADER

# grpcio 1.78 ends a call 1 to 2 s before its route's deadline, by a different part of it in each
# process (measured). The server keeps the exact one; the route's is for servers that say nothing.
SLACK_S = 2.0
_RETRY = RetryPolicy(retry_on="unavailable", num_retries=UInt32Value(value=1))


@dataclass(frozen=True, slots=True)
class _Manner:
    """How calls travel. Methods with the same manner share a route."""

    deadline_s: float | None = UNARY_DEADLINE_S
    retryable: bool = False
    affinity: str = ""


@dataclass(frozen=True, slots=True)
class _Goal:
    """Where routes lead, and the headers that a call needs to go there."""

    service: str
    instance: str = ""
    version: str = ""
    shares: tuple[Share, ...] = ()
    headers: tuple[HeaderMatcher, ...] = ()


def route_configuration(
    catalogue: Catalogue, policy: TrafficPolicy, pools: Pools
) -> RouteConfiguration:
    """Every contract's routes, in an order that the catalogue's does not change."""
    everyone = VirtualHost(name=TARGET, domains=["*"])
    for contract in sorted(catalogue.contracts, key=lambda one: one.service.full_name):
        everyone.routes.extend(_routes(contract, policy.of(contract.service.full_name), pools))
    if catalogue.front:
        action = RouteAction(cluster=pools.wish(Wish(catalogue.front)))
        everyone.routes.add(match=RouteMatch(prefix=""), route=action)
    return RouteConfiguration(name=TARGET, virtual_hosts=[everyone])


def clusters_by_service(routes: RouteConfiguration) -> dict[str, set[str]]:
    """Where calls of each service may go."""
    found: dict[str, set[str]] = {}
    for route in routes.virtual_hosts[0].routes:
        service = (route.match.path or route.match.prefix).removeprefix("/").partition("/")[0]
        weighted = route.route.weighted_clusters.clusters
        names = [one.name for one in weighted] or [route.route.cluster]
        found.setdefault(service, set()).update(names)
    return found


def foretelling(routes: RouteConfiguration, names: Iterable[str]) -> RouteConfiguration:
    """The same routes, and one that no call takes to each of these clusters, so that clients get
    to know them.
    """
    told = RouteConfiguration.FromString(routes.SerializeToString())
    for name in sorted(names):
        action = RouteAction(cluster=name)
        told.virtual_hosts[0].routes.add(match=RouteMatch(path=f"/~/{name}"), route=action)
    return told


def _routes(contract: Contract, policy: ServicePolicy, pools: Pools) -> Iterator[Route]:
    """The first match counts: named instances, a stop for names that nobody has, what policy picks
    by header, and then everything else.
    """
    service = contract.service.full_name
    manners = _manners(contract)
    fault = packed(fault_of(policy.fault)) if policy.fault else None
    named = [
        _Goal(service, instance=one, headers=(_header(INSTANCE_HEADER, one),))
        for one in pools.instances.get(service, ())
    ]
    picked = [
        _Goal(service, version=one.version, headers=(_header(one.header, one.value),))
        for one in policy.preferences
    ]
    for goal in (*named, None, *picked, _Goal(service, shares=policy.shares)):
        if goal is None:
            yield _stop(contract, pools)
            continue
        for match, manner in manners:
            route = _route(match, manner, goal, pools)
            if fault:
                route.typed_per_filter_config[FAULT_FILTER].CopyFrom(fault)
            yield route


def _stop(contract: Contract, pools: Pools) -> Route:
    """A call that asks for an instance which is not there must not reach the default one."""
    other = _header(INSTANCE_HEADER, contract.name.short)
    other.invert_match = True
    # To gRPC for Node a header that is not there is another one too.
    asked = HeaderMatcher(name=INSTANCE_HEADER, present_match=True)
    match = RouteMatch(prefix=f"/{contract.service.full_name}/", headers=[asked, other])
    return Route(match=match, route=RouteAction(cluster=pools.wish(Wish())))


def _manners(contract: Contract) -> list[tuple[RouteMatch, _Manner]]:
    """Methods that stand out by themselves, then the service as a whole, in its commonest manner.

    A method that only a newer contract knows takes the last route, so that one retries only where
    all known methods may be.
    """
    by_path = {
        method.path: _Manner(method.deadline_s, method.retryable, method.affinity)
        for method in contract.methods
    }
    all_safe = all(manner.retryable for manner in by_path.values())
    counted = Counter(one for one in by_path.values() if all_safe or not one.retryable)
    common = counted.most_common(1)[0][0] if counted else _Manner()
    own = [(RouteMatch(path=path), one) for path, one in by_path.items() if one != common]
    return [*own, (RouteMatch(prefix=f"/{contract.service.full_name}/"), common)]


def _route(match: RouteMatch, manner: _Manner, goal: _Goal, pools: Pools) -> Route:
    action = RouteAction()
    if goal.shares and not manner.affinity:
        action.weighted_clusters.CopyFrom(_weighted(goal, pools))
    else:
        wish = Wish(goal.service, goal.instance, goal.version, sticky=bool(manner.affinity))
        action.cluster = pools.wish(wish)
    if manner.affinity:
        action.hash_policy.add().header.header_name = manner.affinity
    if manner.retryable:
        action.retry_policy.CopyFrom(_RETRY)
    if manner.deadline_s is not None:
        longest = duration(manner.deadline_s + SLACK_S)
        action.max_stream_duration.max_stream_duration.CopyFrom(longest)
    route = Route(match=match, route=action)
    route.match.headers.extend(goal.headers)
    return route


def _weighted(goal: _Goal, pools: Pools) -> WeightedCluster:
    """Shares of zero are left out: gRPC would connect to their endpoints all the same."""
    told = WeightedCluster()
    for share in goal.shares:
        if share.weight:
            name = pools.wish(Wish(goal.service, goal.instance, share.version))
            told.clusters.add(name=name, weight=UInt32Value(value=share.weight))
    return told


def _header(name: str, value: str) -> HeaderMatcher:
    return HeaderMatcher(name=name, string_match=StringMatcher(exact=value))
