"""The order in which the agents of a host start: each behind those that it calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tandemkit.core import layers
from tandemkit.core.errors import Bug

if TYPE_CHECKING:
    from tandemkit.hosting.host import Placed


def in_layers(placed: Sequence[Placed]) -> list[Placed]:
    """Otherwise as they come. Raises Bug where agents wait for each other."""
    serving = {one.agent.contract.name: one.name for one in placed}
    needs = {
        one.name: [serving[file.name] for file in one.agent.calls if file.name in serving]
        for one in placed
    }
    try:
        order = [name for layer in layers.in_layers(needs) for name in layer]
    except layers.Cycle as cycle:
        raise Bug("a cycle of calls can never start", cycle=str(cycle)) from cycle
    by_name = {one.name: one for one in placed}
    return [by_name[name] for name in order]
