"""A registration as a row of Consul, and reading thousands of them over and over."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from tandemkit.registry.consul_kv import Row
from tandemkit.registry.protocol import Entry

REGISTRATIONS = "registrations/"


@dataclass(frozen=True, slots=True)
class Registration:
    """Who registered, under the lease of which number, and what."""

    entry: Entry
    number: int

    @classmethod
    def of(cls, row: Row) -> Registration | None:
        """None for a row that somebody else put there."""
        head, _, value = row.value.partition(b"\n")
        try:
            said = json.loads(head)
            owner, number = str(said["owner"]), int(said["lease"])
        except (ValueError, LookupError, TypeError):
            return None
        return cls(Entry(row.key.removeprefix(REGISTRATIONS), value, owner), number)

    def encoded(self) -> bytes:
        head = {"owner": self.entry.owner, "lease": self.number}
        return json.dumps(head).encode() + b"\n" + self.entry.value


class Registrations:
    """Consul answers each change with all rows: only those that moved are read again."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[Row, Registration | None]] = {}

    def read(self, rows: Iterable[Row]) -> dict[str, tuple[Entry, int]]:
        """The entries with their versions, by their keys."""
        before, self._read = self._read, {}
        found: dict[str, tuple[Entry, int]] = {}
        for row in rows:
            known = before.get(row.key)
            one = known[1] if known is not None and known[0] == row else Registration.of(row)
            self._read[row.key] = (row, one)
            if one is not None:
                found[one.entry.key] = (one.entry, row.version)
        return found
