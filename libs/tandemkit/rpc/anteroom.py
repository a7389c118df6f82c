"""Where interactive calls of a full method wait for the next seat."""

from __future__ import annotations

import asyncio


class Anteroom:
    """In the order of coming. Whoever is called has to see whether there is a seat. `places` are of
    those who wait, also of whoever was called and has not looked yet: his seat is nobody else's.
    """

    def __init__(self) -> None:
        self.places: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Until called. Who leaves instead calls the next one, for it may have been called too."""
        place = asyncio.get_running_loop().create_future()
        self.places.append(place)
        try:
            await place
        except asyncio.CancelledError:
            self.call()
            raise
        finally:
            self.places.remove(place)

    def call(self) -> None:
        """A seat is free."""
        for place in self.places:
            if not place.done():
                place.set_result(None)
                return

    def call_all(self) -> None:
        """There are other seats than before."""
        for place in self.places:
            if not place.done():
                place.set_result(None)
