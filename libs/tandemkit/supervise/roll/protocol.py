"""Who runs under which name in this process, and what every store of that promises. Stores are
opened by `registry` alone, which a rule of the repository holds everybody to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from tandemkit.supervise.roll.owners import Owner

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class Key(NamedTuple):
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Entry:
    """Who runs under a name. `value` is for callers in this process: what the owner is reached by;
    `address` is for all others, and empty where there is none.
    """

    key: Key
    owner: Owner
    since: datetime
    address: str = ""
    value: object = field(default=None, compare=False)


class Backend(Protocol):
    """Entries by key. One conformance suite, tests/contract/roll, holds all backends to this."""

    def put(self, entry: Entry) -> None:
        """In place of what stood there."""

    def remove(self, key: Key) -> None:
        """Harmless where nothing stands."""

    def find(self, namespace: str, name: str) -> Entry | None:
        """What stands there now."""

    def listed(self, namespace: str = "") -> tuple[Entry, ...]:
        """Those of one namespace, or all, in the order of their keys."""

    def __len__(self) -> int:
        """How many entries there are."""


def check_key(key: Key) -> None:
    """Raises ValueError for what is no key."""
    if any(_NAME.fullmatch(part) is None for part in key):
        raise ValueError("not a name of a process")
