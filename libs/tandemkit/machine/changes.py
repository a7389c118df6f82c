"""What a new plan does to each host: those that it leaves as they are go on untouched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from tandem.control.v1 import machine_pb2 as pb


class Wanted(Protocol):
    """As far as two are compared."""

    @property
    def digest(self) -> str: ...


def changes(
    running: Mapping[str, Wanted], wanted: Mapping[str, Wanted], down: frozenset[str]
) -> Iterator[pb.PlannedChange]:
    """One for each host. `down` are those of `running` that are stopped, or were given up."""
    for name, order in wanted.items():
        if name not in running:
            yield _change(name, pb.DEED_START, "it is new")
        elif name in down:
            yield _change(name, pb.DEED_START, "it did not run")
        elif running[name].digest != order.digest:
            why = "its agents, their settings or their code changed"
            yield _change(name, pb.DEED_RESTART, why)
        else:
            yield _change(name, pb.DEED_KEEP, "")
    for name in running:
        if name not in wanted:
            yield _change(name, pb.DEED_STOP, "the plan has it no longer")


def _change(host: str, deed: pb.Deed.ValueType, why: str) -> pb.PlannedChange:
    return pb.PlannedChange(host=host, deed=deed, why=why)
