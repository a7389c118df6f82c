"""Which route a call takes and what stands behind it, read out of the routes that clients are told:
they are made again from what they were made of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from envoy.config.route.v3.route_components_pb2 import HeaderMatcher, Route

from tandemkit.core.names import AgentName
from tandemkit.mesh.catalogue import Host, Placement, Standing
from tandemkit.mesh.clusters import priorities_of
from tandemkit.mesh.past import Told
from tandemkit.mesh.pools import Pool, Pools, Wish
from tandemkit.mesh.routes import route_configuration
from tandemkit.mesh.sets import Sets
from tandemkit.rpc.local import INSTANCE_HEADER


@dataclass(frozen=True, slots=True)
class Call:
    """`method` is `package.Service/Method`; `headers` are those that routes may look at, in lower
    case; `machine` is the caller's.
    """

    method: str
    headers: Mapping[str, str]
    machine: str = ""

    @property
    def service(self) -> str:
        return self.method.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Target:
    """One cluster that the route leads to, by `weight` against the sum of all. `priorities` are
    tried in order.
    """

    cluster: str
    weight: int
    version: str
    priorities: tuple[tuple[Host, ...], ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """`match` is the path or prefix of the route. `left_out` are hosts that have the instance and
    were to get no call, with the reason.
    """

    match: str
    targets: tuple[Target, ...]
    left_out: tuple[tuple[Host, Standing], ...]


def explained(told: Told, call: Call) -> Explanation | None:
    """None where no route was told for such a call: it failed at its caller."""
    known = told.catalogue.contracts
    contracts = tuple(one for one in known if one.service.full_name == call.service)
    catalogue = replace(told.catalogue, contracts=contracts)
    pools = Pools(Sets.of(catalogue, told.policy.drained))
    (everyone,) = route_configuration(catalogue, told.policy, pools).virtual_hosts
    route = next((one for one in everyone.routes if _takes(one, call)), None)
    if route is None:
        return None
    wishes = dict(zip(pools.named, pools.wishes, strict=True))
    targets = tuple(
        _target(pools.named[name], wishes[name], weight, call.machine)
        for name, weight in _led_to(route)
    )
    service = call.service if contracts else catalogue.front
    asked = call.headers.get(INSTANCE_HEADER, "")
    instance = "" if asked == AgentName.of(service).short else asked
    match = route.match.path or route.match.prefix
    return Explanation(match, targets, tuple(_left_out(told, service, instance)))


def _led_to(route: Route) -> list[tuple[str, int]]:
    weighted = route.route.weighted_clusters.clusters
    return [(one.name, one.weight.value) for one in weighted] or [(route.route.cluster, 1)]


def _takes(route: Route, call: Call) -> bool:
    path = f"/{call.method}"
    match = route.match
    is_path = match.path == path if match.path else path.startswith(match.prefix)
    return is_path and all(_has(one, call.headers) for one in match.headers)


def _has(wanted: HeaderMatcher, headers: Mapping[str, str]) -> bool:
    """A header that is not there matches nothing, inverted or not; the routes say so themselves."""
    value = headers.get(wanted.name)
    if value is None:
        return False
    found = wanted.present_match or value == wanted.string_match.exact
    return bool(found != wanted.invert_match)


def _target(pool: Pool, wish: Wish, weight: int, machine: str) -> Target:
    tiers = tuple(tuple(hosts) for hosts, _zones, _tier in priorities_of(pool, machine))
    return Target(pool.name, weight, wish.version, tiers)


def _left_out(told: Told, service: str, instance: str) -> Iterator[tuple[Host, Standing]]:
    for host in told.catalogue.hosts:
        for placed in host.placements:
            if (placed.service, placed.instance) == (service, instance):
                why = _why_not(told, host, placed)
                if why is not None:
                    yield host, why


def _why_not(told: Told, host: Host, placed: Placement) -> Standing | None:
    if not host.serving:
        return told.catalogue.standings.get(host.name, Standing.LAPSED)
    if host.name in told.policy.drained:
        return Standing.DRAINED_BY_POLICY
    return None if placed.serving else Standing.UNWELL


def headers_of(instance: str, headers: Mapping[str, str]) -> dict[str, str]:
    """What routes see of a call that asks for an instance, or for none."""
    told = {name.lower(): value for name, value in headers.items()}
    return {**told, INSTANCE_HEADER: instance} if instance else told
