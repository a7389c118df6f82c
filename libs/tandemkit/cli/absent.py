"""Agents that a plan had to leave out, as commands tell of them."""

from __future__ import annotations

from collections.abc import Iterable

from tandem.fleet.v1.plan_pb2 import AbsentAgent


def absent_of(agents: Iterable[AbsentAgent]) -> list[dict[str, str]]:
    """For --json."""
    return [{"agent": one.name, "service": one.service, "why": one.why} for one in agents]
