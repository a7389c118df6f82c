"""Consolidation without being asked, and ids of what was deleted that are free again. Rarely, and
never more than a fifth of the time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from services.memory.memory_orchestrator.consolidation import SLICE_S, Consolidation
from services.memory.memory_orchestrator.following import Indices
from services.memory.memory_orchestrator.place import DELETED
from tandem.memory.config.v1 import memory_orchestrator_pb2 as cfg
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandemkit.core.clock import Clock
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.storage.failure import Damaged
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.protocol import CHANGES_MAX, Change

_EVERY, _KEEP = timedelta(hours=6), timedelta(days=7)
_REST_S: Final = 4 * SLICE_S


class Upkeep:
    """Of one replica; two of them do nothing twice, for each step is done by one alone."""

    def __init__(
        self, state: State, indices: Indices, consolidation: Consolidation, clock: Clock
    ) -> None:
        self._state, self._indices = state, indices
        self._consolidation, self._clock = consolidation, clock

    async def run(
        self, said: cfg.MemoryOrchestratorSettings, draw: Callable[[], float] = random.random
    ) -> None:
        """Until cancelled."""
        every, keep = _EVERY, _KEEP
        if said.HasField("consolidate_every"):
            every = said.consolidate_every.ToTimedelta()
        if said.HasField("keep_deleted_ids"):
            keep = said.keep_deleted_ids.ToTimedelta()
        while every:
            await self._clock.sleep(every.total_seconds() * (0.5 + draw()))
            with suppress(Unreachable, Refused, Damaged):
                await self._indices.follow()
                for namespace in self._indices.namespaces:
                    await self._consolidate(namespace)
                await self.free(self._clock.now() - keep)

    async def free(self, before: datetime) -> None:
        """The ids of what was deleted before that."""
        gone: list[Change] = []
        async for key, moment in self._state.all(DELETED, Timestamp):
            if moment.ToDatetime(tzinfo=UTC) < before:
                gone.append(Change(key, None))
        for start in range(0, len(gone), CHANGES_MAX):
            await self._state.store.write(gone[start : start + CHANGES_MAX])

    async def _consolidate(self, namespace: str) -> None:
        request, after = pb.ConsolidateMemoriesRequest(), ""
        while True:
            _, after = await self._consolidation.run(request, namespace, after)
            if not after:
                return
            await self._clock.sleep(_REST_S)
