"""What reads, writes and the drain have in common."""

from __future__ import annotations

from dataclasses import dataclass

from services.memory.memory_client.copies import Copies
from services.memory.memory_client.journal import Journal
from services.memory.memory_client.line import Line
from services.memory.memory_client.orchestrator import Orchestrator
from tandemkit.core.clock import Clock


@dataclass(frozen=True, slots=True)
class Means:
    """Of one client."""

    orchestrator: Orchestrator
    journal: Journal
    copies: Copies
    line: Line
    clock: Clock
