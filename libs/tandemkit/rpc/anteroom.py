"""Where interactive calls of a full method wait for the next seat."""

from __future__ import annotations

import asyncio


class Anteroom:
    """In the order of coming. Whoever is called has to see whether there is a seat."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def __len__(self) -> int:
        """Those who were called and have not looked yet count: their seat is nobody else's."""
        return len(self._waiting)

    async def wait(self) -> None:
        """Until called. Who leaves instead calls the next one, for it may have been called too."""
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            self.call()
            raise
        finally:
            self._waiting.remove(place)

    def call(self) -> None:
        """A seat is free."""
        for place in self._waiting:
            if not place.done():
                place.set_result(None)
                return

    def call_all(self) -> None:
        """There are other seats than before."""
        for place in self._waiting:
            if not place.done():
                place.set_result(None)
