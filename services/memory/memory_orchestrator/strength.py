"""How well something is remembered: it fades by its tier, the slower the more it was used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from tandem.memory.config.v1 import memory_orchestrator_pb2 as cfg
from tandem.memory.v1 import memory_pb2 as nouns

IMPORTANCE: Final = 0.5
# What is of no importance begins with so much of what is of all importance.
FLOOR: Final = 0.25
_WORKING = timedelta(hours=6)
_EPISODIC = timedelta(days=14)
_SEMANTIC = timedelta(days=180)


@dataclass(frozen=True, slots=True)
class Fading:
    """Half-lives by tier, in seconds."""

    half_life_s: Mapping[int, float]

    @classmethod
    def of(cls, settings: cfg.MemoryOrchestratorSettings) -> Fading:
        working, episodic, semantic = _WORKING, _EPISODIC, _SEMANTIC
        if settings.HasField("working_half_life"):
            working = settings.working_half_life.ToTimedelta()
        if settings.HasField("episodic_half_life"):
            episodic = settings.episodic_half_life.ToTimedelta()
        if settings.HasField("semantic_half_life"):
            semantic = settings.semantic_half_life.ToTimedelta()
        return cls(
            {
                nouns.MEMORY_TIER_WORKING: working.total_seconds(),
                nouns.MEMORY_TIER_EPISODIC: episodic.total_seconds(),
                nouns.MEMORY_TIER_SEMANTIC: semantic.total_seconds(),
            }
        )

    def strength(self, memory: nouns.Memory, now: datetime) -> float:
        importance = importance_of(memory)
        if importance >= 1.0:
            return 1.0
        age_s = max(0.0, (now - memory.last_used_at.ToDatetime(tzinfo=UTC)).total_seconds())
        half_life_s = self.half_life_s[memory.tier] * (1.0 + math.log1p(memory.uses))
        return float(0.5 ** (age_s / half_life_s)) * (FLOOR + (1.0 - FLOOR) * importance)


def importance_of(memory: nouns.Memory) -> float:
    return memory.importance if memory.HasField("importance") else IMPORTANCE
