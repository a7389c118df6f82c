"""Sets of endpoints that calls are spread over. Each becomes one xDS cluster, so there are as few
as there are different sets, and their names stay when health changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from tandemkit.mesh.catalogue import Host
from tandemkit.mesh.sets import HostSet, Sets

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


class Pools:
    """Hands out the pool for each wish, and remembers which were wished for."""

    def __init__(self, sets: Sets) -> None:
        self.named: dict[str, Pool] = {}
        self.wishes: list[Wish] = []
        self._sets = sets

    @cached_property
    def instances(self) -> Mapping[str, tuple[str, ...]]:
        """By service, the names of its instances, without the default one."""
        found: dict[str, tuple[str, ...]] = {}
        for service, instance in sorted(key for key in self._sets.by_key if key[1]):
            found[service] = (*found.get(service, ()), instance)
        return found

    def wish(self, wish: Wish) -> str:
        """The name of the pool that answers it. With a version its hosts come first and the others
        only where it has none left: a call that could be answered is.
        """
        found = self._sets.by_key.get((wish.service, wish.instance), _NOBODY)
        wish = wish if found is not _NOBODY else Wish()
        name = f"{found.name}@{wish.version}" if wish.version else found.name
        name = f"{name}~ring" if wish.sticky else name
        if name not in self.named:
            tiers = _tiers(found.hosts, wish.version, sticky=wish.sticky)
            self.named[name] = Pool(name, wish.sticky, tiers)
            self.wishes.append(wish)
        return name


_NOBODY = HostSet(NOWHERE, ())


def _tiers(hosts: tuple[Host, ...], version: str, *, sticky: bool) -> tuple[tuple[Host, ...], ...]:
    if not version:
        return (hosts,)
    wanted = tuple(host for host in hosts if host.version == version)
    others = tuple(host for host in hosts if host.version != version)
    return (wanted or others,) if sticky else (wanted, others)
