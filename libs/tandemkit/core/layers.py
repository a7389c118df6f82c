"""The order in which things start that need each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter


class Cycle(Exception):
    """Things that wait for each other. `path` ends with what it begins with."""

    def __init__(self, path: tuple[str, ...]) -> None:
        super().__init__(" -> ".join(path))
        self.path = path


def in_layers(needs: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """Each name in the first layer behind all that it needs, and within a layer as they come. Needs
    that are no names themselves count for nothing. Raises Cycle.
    """
    known = {name: [one for one in wanted if one in needs] for name, wanted in needs.items()}
    sorter = TopologicalSorter(known)
    try:
        sorter.prepare()
    except CycleError as error:
        # Python tells it from the needed one to the one that needs it.
        raise Cycle(_from_first(tuple(reversed(error.args[1])))) from error
    place = {name: number for number, name in enumerate(needs)}
    layers = []
    while sorter.is_active():
        ready = sorter.get_ready()
        layers.append(tuple(sorted(ready, key=place.__getitem__)))
        sorter.done(*ready)
    return layers


def cycles(needs: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """One path through each knot, each name in one path at most."""
    left = dict(needs)
    found = []
    while True:
        try:
            in_layers(left)
        except Cycle as cycle:
            found.append(cycle.path)
            for name in cycle.path[1:]:
                del left[name]
        else:
            return found


def _from_first(path: tuple[str, ...]) -> tuple[str, ...]:
    """The same way round, told from its first name by alphabet, so that it always reads alike."""
    ring = path[:-1]
    start = ring.index(min(ring))
    return (*ring[start:], *ring[:start], ring[start])
