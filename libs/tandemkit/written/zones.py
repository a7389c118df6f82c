"""Time zones by name. They come from the tzdata package, not from the machine, so that all replicas
agree.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo


@cache
def zone_names() -> tuple[str, ...]:
    """All zones by name, in order of code points."""
    listed = resources.files("tzdata").joinpath("zones").read_text(encoding="ascii")
    return tuple(sorted(listed.split()))


def zone_of(name: str) -> ZoneInfo | None:
    """None where there is none of that name. Names are checked before any file is opened."""
    return _load(name) if name in _known_names() else None


@cache
def _known_names() -> frozenset[str]:
    return frozenset(zone_names())


@cache
def _load(name: str) -> ZoneInfo:
    path = resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    with path.open("rb") as source:
        return ZoneInfo.from_file(source, key=name)
