"""Which lives of the agent are there: an attempt of one that is gone is nobody's."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from tandemkit.core import ids
from tandemkit.core.clock import Clock
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.sqlite import SqliteState

_HOLDER: Final = "holder/"
# Clocks of two machines may differ by what lies between.
LEASE_S: Final = 15.0
_RENEW_S: Final = 3.0


class Holders:
    """Of one store. A file has one owner: whoever had it before is gone."""

    def __init__(self, state: State, clock: Clock) -> None:
        self.own = ids.event_id()[:16]
        self._state, self.clock = state, clock
        self.is_shared = not isinstance(state.store, SqliteState)

    async def is_alive(self, holder: str) -> bool:
        """Whether another life than this one may still be trying."""
        if not self.is_shared or holder == self.own:
            return False
        until = await self._state.get(_HOLDER + holder, Timestamp)
        return until is not None and until.ToDatetime(tzinfo=UTC) > self.clock.now()

    async def begin(self) -> None:
        """To be called before the first attempt."""
        if self.is_shared:
            await self._renew()

    async def keep(self) -> None:
        """Until cancelled."""
        while self.is_shared:
            await self.clock.sleep(_RENEW_S)
            # The store may be back in time.
            with suppress(Unreachable):
                await self._renew()

    async def leave(self) -> None:
        """What it tried is nobody's from now on."""
        if self.is_shared:
            with suppress(Unreachable):
                await self._state.delete(_HOLDER + self.own)

    async def _renew(self) -> None:
        until = Timestamp()
        until.FromDatetime(self.clock.now() + timedelta(seconds=LEASE_S))
        await self._state.put(_HOLDER + self.own, until)
