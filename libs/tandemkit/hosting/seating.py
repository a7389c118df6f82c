"""An agent's place among those that the server of its host calls, over all of its lives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.core.clock import stopwatch_s
from tandemkit.hosting.site import Site
from tandemkit.hosting.standing import worded
from tandemkit.rpc import failure
from tandemkit.rpc.failure import Refusal
from tandemkit.rpc.room import restarting
from tandemkit.rpc.seats import Seat

if TYPE_CHECKING:
    from tandemkit.hosting.host import Placed

# For calls in progress where somebody stops an agent.
_FINISHED_WITHIN_S, _LOOK_S = 10.0, 0.05


class Seating:
    """Who calls come to, whether any do, and what callers hear while none may."""

    def __init__(self, placed: Placed, site: Site) -> None:
        self._placed, self._site = placed, site
        self._standing = site.standings[placed.name]
        self._seat: Seat | None = None
        # Whether a life ends because somebody wants it, so that calls in progress may finish.
        self._ends_gently = False

    @property
    def calls(self) -> int:
        """How many are in progress."""
        return self._seat.calls if self._seat is not None else 0

    @property
    def called_s_ago(self) -> float | None:
        """When the latest call came; None where none has."""
        entered_s = self._seat.entered_s if self._seat is not None else None
        return None if entered_s is None else stopwatch_s() - entered_s

    @contextmanager
    def of(self, servicer: object) -> Iterator[None]:
        """Calls come to it inside of the block, and are ended before what it needs is."""
        if self._seat is None:
            seat = self._seat = self._new(servicer)
        else:
            seat = self._seat
            seat.take(servicer)
        try:
            yield
        finally:
            self._standing.cause = self._standing.cause or "it ends"
            self.show(serving=False)
            seat.leave(self._refusal())

    def lack(self, refusal: Refusal) -> None:
        """Nobody is there yet, and callers hear why."""
        if self._seat is None:
            self._seat = self._new(None)
        self._seat.leave(refusal)
        self.show(serving=False)

    def show(self, *, serving: bool) -> None:
        """To whoever asks for its health."""
        standing = self._standing
        self._site.server.health.put(standing.key, serving=serving, apart=standing.added)
        self._site.news.set()

    def close(self) -> None:
        """New calls are refused from now on."""
        self.show(serving=False)
        self._ends_gently = True
        if self._seat is not None:
            self._seat.close(self._refusal())

    async def let_finish(self) -> None:
        """What is in progress, unless the agent failed or takes too long."""
        left_s, self._ends_gently = _FINISHED_WITHIN_S if self._ends_gently else 0.0, False
        while left_s > 0 and self._seat is not None and self._seat.is_busy:
            await self._site.clock.sleep(_LOOK_S)
            left_s -= _LOOK_S

    def vacate(self) -> None:
        """Gives the place up for good."""
        if self._seat is not None:
            self._site.server.remove(self._placed.agent.promise, self._placed.name)
        self._site.server.health.forget(self._standing.key)

    def _new(self, servicer: object | None) -> Seat:
        server = self._site.server
        take = server.add if self._standing.added else server.mount
        return take(self._placed.agent.promise, servicer, self._placed.name)

    def _refusal(self) -> Refusal:
        standing = self._standing
        if not standing.is_down or standing.asked is None:
            return restarting()
        return failure.of_platform(
            platform.PLATFORM_ERROR_REASON_SUSPENDED,
            f"the agent was {standing.wanted.lower()} here by {worded(standing.asked)}",
            by=standing.asked.by,
            why=standing.asked.why,
        )
