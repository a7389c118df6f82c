"""The order in which the agents of a host start: each behind those that it calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tandemkit.core.errors import Bug

if TYPE_CHECKING:
    from tandemkit.hosting.host import Placed


def in_layers(placed: Sequence[Placed]) -> list[Placed]:
    """Otherwise as they come. Raises Bug where agents wait for each other."""
    by_contract = {one.agent.contract.name: one for one in placed}
    ordered: list[Placed] = []

    def visit(one: Placed, waiting: tuple[str, ...]) -> None:
        if one.name in waiting:
            raise Bug("a cycle of calls can never start", cycle=" -> ".join((*waiting, one.name)))
        if one in ordered:
            return
        for file in one.agent.calls:
            if file.name in by_contract:
                visit(by_contract[file.name], (*waiting, one.name))
        ordered.append(one)

    for one in placed:
        visit(one, ())
    return ordered
