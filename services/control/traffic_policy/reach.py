"""Whether the registry answers. A watch that stays open says so: asking again and again would leave
a line in the log each time that there is no policy.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure

_RETRY_S = 1.0


class Reach:
    """As the watch last told it."""

    def __init__(self, watch: Callable[[], AsyncIterator[object]], clock: Clock) -> None:
        self._watch, self._clock = watch, clock
        self._cause: str | None = "the registry has not answered yet"

    async def check(self) -> None:
        """Raises while it does not, or while what it keeps is no policy."""
        if self._cause is not None:
            raise ConnectionError(self._cause)

    async def run(self) -> None:
        """Watches until cancelled."""
        while True:
            try:
                async for _ in self._watch():
                    self._cause = None
                self._cause = "the registry ended the watch"
            except Failure as error:
                self._cause = str(error)
            await self._clock.sleep(_RETRY_S)
