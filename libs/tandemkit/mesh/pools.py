"""Sets of endpoints that calls are spread over. Each becomes one xDS cluster, so there are as few
as there are different sets, and their names stay when health changes.
"""

from __future__ import annotations

from dataclasses import dataclass

from tandemkit.mesh.catalogue import Catalogue, Host
from tandemkit.mesh.policy import TrafficPolicy

# Where calls go that nobody can answer: it has no endpoint, so they fail at once.
# No group has such a name.
NOWHERE = "~nowhere"


@dataclass(frozen=True, slots=True)
class Pool:
    """`tiers` are tried in order, each on the caller's machine first. A `sticky` one has a single
    tier, which every caller sees alike.
    """

    name: str
    sticky: bool
    tiers: tuple[tuple[Host, ...], ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a route asks for. Without a service: nobody."""

    service: str = ""
    instance: str = ""
    version: str = ""
    sticky: bool = False


@dataclass(frozen=True, slots=True)
class _Set:
    """The hosts that can take calls for one instance. Its name is that of their groups, as long as
    the instance is on each of their hosts and well there; else it is the instance's own.
    """

    name: str
    hosts: tuple[Host, ...]


class Pools:
    """Hands out the pool for each wish, and remembers which were wished for."""

    def __init__(self, catalogue: Catalogue, policy: TrafficPolicy) -> None:
        self.named: dict[str, Pool] = {}
        self.wishes: list[Wish] = []
        self._open = {
            host.name
            for host in catalogue.hosts
            if host.serving and host.name not in policy.drained
        }
        self._groups: dict[str, list[Host]] = {}
        self._placed: dict[tuple[str, str], list[tuple[Host, bool]]] = {}
        for host in catalogue.hosts:
            self._groups.setdefault(host.group, []).append(host)
            for one in host.placements:
                where = self._placed.setdefault((one.service, one.instance), [])
                where.append((host, one.serving))
        self._sets = {key: self._set(*key) for key in self._placed}
        self._instances: dict[str, tuple[str, ...]] = {}
        for service, instance in sorted(self._placed):
            if instance:
                self._instances[service] = (*self._instances.get(service, ()), instance)

    def instances(self, service: str) -> tuple[str, ...]:
        """The names of its instances, without the default one."""
        return self._instances.get(service, ())

    @property
    def names(self) -> dict[tuple[str, str], str]:
        """What the set of each instance is called: all that routes can tell of the hosts."""
        return {key: found.name for key, found in self._sets.items()}

    def wish(self, wish: Wish) -> str:
        """The name of the pool that answers it. With a version its hosts come first and the others
        only where it has none left: a call that could be answered is.
        """
        found = self._sets.get((wish.service, wish.instance), _NOBODY)
        wish = wish if found is not _NOBODY else Wish()
        name = f"{found.name}@{wish.version}" if wish.version else found.name
        name = f"{name}~ring" if wish.sticky else name
        if name not in self.named:
            tiers = _tiers(found.hosts, wish.version, sticky=wish.sticky)
            self.named[name] = Pool(name, wish.sticky, tiers)
            self.wishes.append(wish)
        return name

    def _set(self, service: str, instance: str) -> _Set:
        placed = self._placed[service, instance]
        groups = sorted({host.group for host, _ in placed})
        shared = len(placed) == sum(len(self._groups[group]) for group in groups) and all(
            well for host, well in placed if host.name in self._open
        )
        name = "+".join(groups)
        if not shared:
            name = f"{name}/{service}:{instance}" if instance else f"{name}/{service}"
        hosts = (host for host, well in placed if well and host.name in self._open)
        return _Set(name, tuple(sorted(hosts, key=_by_name)))


_NOBODY = _Set(NOWHERE, ())


def _by_name(host: Host) -> str:
    return host.name


def _tiers(hosts: tuple[Host, ...], version: str, *, sticky: bool) -> tuple[tuple[Host, ...], ...]:
    if not version:
        return (hosts,)
    wanted = tuple(host for host in hosts if host.version == version)
    others = tuple(host for host in hosts if host.version != version)
    return (wanted or others,) if sticky else (wanted, others)
