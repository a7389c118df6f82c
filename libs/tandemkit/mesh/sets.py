"""Which hosts can take calls for each instance of an agent. Made from those before: what a change
costs is its own group, and a look at each host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tandemkit.mesh.catalogue import Catalogue, Host

# A service and an instance of it; the default one is empty.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class HostSet:
    """The hosts that can take calls for one instance. Its name is that of their groups, as long as
    the instance is on each of their hosts and well there; else it is the instance's own.
    """

    name: str
    hosts: tuple[Host, ...]


@dataclass(frozen=True, slots=True)
class _Group:
    """Its hosts by name, which of them are open, and where each instance is, and whether well."""

    hosts: tuple[Host, ...]
    is_open: frozenset[str]
    placed: Mapping[Key, tuple[tuple[Host, bool], ...]]

    @classmethod
    def of(cls, hosts: tuple[Host, ...], drained: frozenset[str]) -> _Group:
        is_open = frozenset(one.name for one in hosts if one.serving and one.name not in drained)
        placed: dict[Key, list[tuple[Host, bool]]] = {}
        for host in hosts:
            for one in host.placements:
                placed.setdefault((one.service, one.instance), []).append((host, one.serving))
        return cls(hosts, is_open, {key: tuple(where) for key, where in placed.items()})


@dataclass(frozen=True, slots=True)
class Sets:
    """`names` are those of the sets: all that routes can tell of the hosts. While they stay the
    same it is the same object.
    """

    by_key: Mapping[Key, HostSet]
    names: Mapping[Key, str]
    _groups: Mapping[str, _Group]
    # The groups that each instance is in.
    _where: Mapping[Key, tuple[str, ...]]
    drained: frozenset[str]

    @classmethod
    def of(cls, catalogue: Catalogue, drained: frozenset[str], before: Sets | None = None) -> Sets:
        if before is None or before.drained != drained:
            before = cls({}, {}, {}, {}, drained)
        groups = _grouped(catalogue.hosts, drained, before._groups)
        changed = {name for name, group in groups.items() if before._groups.get(name) is not group}
        where = before._where
        if _is_elsewhere(groups, before._groups, changed):
            where = _where(groups)
        touched = {key for name in changed for key in groups[name].placed}
        touched |= {key for key, names in where.items() if before._where.get(key) != names}
        made = {key: _set(key, where[key], groups) for key in touched}
        kept = before.by_key
        if where is not before._where:
            kept = {key: one for key, one in kept.items() if key in where}
        names = before.names
        if len(names) != len(where) or any(names.get(key) != one.name for key, one in made.items()):
            names = {key: one.name for key, one in {**kept, **made}.items()}
        return cls({**kept, **made}, names, groups, where, drained)


def _grouped(
    hosts: Iterable[Host], drained: frozenset[str], known: Mapping[str, _Group]
) -> dict[str, _Group]:
    found: dict[str, list[Host]] = {}
    for host in sorted(hosts, key=lambda one: one.name):
        found.setdefault(host.group, []).append(host)
    groups: dict[str, _Group] = {}
    for name, members in found.items():
        before, now = known.get(name), tuple(members)
        # Hosts that did not change are the objects that they were, so this is quick.
        same = before is not None and before.hosts == now
        groups[name] = before if before is not None and same else _Group.of(now, drained)
    return groups


def _is_elsewhere(
    groups: Mapping[str, _Group], before: Mapping[str, _Group], changed: set[str]
) -> bool:
    """Whether any instance is in other groups than it was."""
    return groups.keys() != before.keys() or any(
        groups[name].placed.keys() != before[name].placed.keys() for name in changed
    )


def _where(groups: Mapping[str, _Group]) -> dict[Key, tuple[str, ...]]:
    where: dict[Key, tuple[str, ...]] = {}
    for name in sorted(groups):
        for key in groups[name].placed:
            where[key] = (*where.get(key, ()), name)
    return where


def _set(key: Key, names: tuple[str, ...], groups: Mapping[str, _Group]) -> HostSet:
    here = [groups[name] for name in names]
    placed = [(host, well, group) for group in here for host, well in group.placed[key]]
    can = [host for host, well, group in placed if well and host.name in group.is_open]
    is_shared = len(placed) == sum(len(group.hosts) for group in here) and all(
        well for host, well, group in placed if host.name in group.is_open
    )
    name = "+".join(names)
    if not is_shared:
        service, instance = key
        name = f"{name}/{service}:{instance}" if instance else f"{name}/{service}"
    return HostSet(name, tuple(sorted(can, key=lambda one: one.name)))
