"""While somebody asks or writes, changes are fetched now and then, so there is little to fetch when
the next one asks. A replica that nobody needs does nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from tandemkit.core.clock import Clock
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.storage.failure import Damaged

SYNC: Final = timedelta(seconds=5)
# After so long without a question or a write nothing is fetched ahead of the next one.
_LASTS_S: Final = 60.0


class Attention:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._paid_s = -_LASTS_S
        self._is_paid = asyncio.Event()

    def pay(self) -> None:
        """Somebody asks or writes."""
        self._paid_s = self._clock.monotonic_s()
        self._is_paid.set()

    async def keep(self, follow: Callable[[], Awaitable[None]], every_s: float) -> None:
        """Until cancelled."""
        while True:
            await self._is_paid.wait()
            self._is_paid.clear()
            while self._clock.monotonic_s() - self._paid_s < _LASTS_S:
                await self._clock.sleep(every_s)
                with suppress(Unreachable, Refused, Damaged):
                    await follow()
