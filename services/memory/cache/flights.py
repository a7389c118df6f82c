"""One lookup for all who ask for a key at the same time: the first of them asks the shared tier,
and the others get what it finds, or its place once it has a lease to answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from services.memory.cache.keeping import Place, Taken
from tandemkit.core.errors import Failure

# News may be lost on their way from another replica.
_LOOK_S: Final = 1.0
# Whether it was waited for until another had filled the key.
Outcome: TypeAlias = tuple[Taken, bool]
Turn: TypeAlias = "asyncio.Future[Outcome]"
# What whoever leads says to one who waits: it is your turn to.
_LEAD: Final[Outcome] = (Taken(None), True)
_NOTHING: Final[Outcome] = (Taken(None), False)
Take = Callable[[], Awaitable[Taken]]


@dataclass(slots=True)
class Flight:
    """Who waits for one key. `is_led` while one of them asks for all."""

    is_led: bool = False
    # Whether whoever leads waits for another's fill, which may last.
    is_waiting: bool = False
    # By when each gives up.
    turns: deque[tuple[Turn, float]] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def share(self, taken: Taken) -> None:
        """The entry is everybody's; the lease, if there is one, is not."""
        plain = Taken(taken.kept, lease_ms=taken.lease_ms, is_degraded=taken.is_degraded)
        self._answer((plain, self.is_waiting), lambda _until_s: True)

    def let_go(self, now_s: float) -> None:
        """Those who do not wait while another fills."""
        self._answer(_NOTHING, lambda until_s: until_s <= now_s)

    def fail(self, error: Failure) -> None:
        """For all of them the same: each would only learn it again."""
        while self.turns:
            turn, _ = self.turns.popleft()
            if not turn.done():
                turn.set_exception(error)

    def pass_on(self) -> None:
        """To the next one who still waits."""
        self.is_waiting = False
        while self.turns:
            turn, _ = self.turns.popleft()
            if not turn.done():
                turn.set_result(_LEAD)
                return
        self.is_led = False

    def _answer(self, outcome: Outcome, fits: Callable[[float], bool]) -> None:
        left: deque[tuple[Turn, float]] = deque()
        for turn, until_s in self.turns:
            if not fits(until_s):
                left.append((turn, until_s))
            elif not turn.done():
                turn.set_result(outcome)
        self.turns = left


class Flights:
    """By key."""

    def __init__(self) -> None:
        self._flights: dict[Place, Flight] = {}

    def hear(self, place: Place) -> None:
        """Something became of it: whoever waits looks again."""
        if flight := self._flights.get(place):
            flight.news.set()

    def hear_all(self, namespace: str = "") -> None:
        """The same of all keys of a namespace, or of every one."""
        for place, flight in self._flights.items():
            if not namespace or place.namespace == namespace:
                flight.news.set()

    async def found(self, place: Place, take: Take, wait_s: float) -> Outcome:
        """What `take` finds, by whoever of those that ask calls it: an entry, a lease, or neither
        once the wait is over. Raises what that raises.
        """
        until_s = asyncio.get_running_loop().time() + wait_s
        flight = self._flights.setdefault(place, Flight())
        if flight.is_led:
            outcome = await self._turn(flight, until_s)
            if outcome is not _LEAD:
                return outcome
        async with self._leading(place, flight):
            return await self._led(flight, take, until_s)

    async def _turn(self, flight: Flight, until_s: float) -> Outcome:
        now_s = asyncio.get_running_loop().time()
        if flight.is_waiting and until_s <= now_s:
            return _NOTHING
        turn: Turn = asyncio.get_running_loop().create_future()
        flight.turns.append((turn, until_s))
        # Without a wait it still hears what there is now.
        limit_s = max(until_s - now_s, _LOOK_S)
        try:
            async with asyncio.timeout(limit_s):
                return await turn
        except TimeoutError:
            # The turn may have come with the end of the wait.
            return turn.result() if _is_answered(turn) else _NOTHING
        except asyncio.CancelledError:
            if _is_answered(turn) and turn.result() is _LEAD:
                flight.pass_on()
            raise

    @asynccontextmanager
    async def _leading(self, place: Place, flight: Flight) -> AsyncIterator[None]:
        flight.is_led = True
        try:
            yield
        except Failure as error:
            flight.fail(error)
            raise
        finally:
            flight.pass_on()
            if not flight.is_led and self._flights.get(place) is flight:
                del self._flights[place]

    async def _led(self, flight: Flight, take: Take, until_s: float) -> Outcome:
        loop = asyncio.get_running_loop()
        while True:
            flight.news.clear()
            taken = await take()
            if taken.kept is not None:
                flight.share(taken)
            if taken.kept is not None or taken.is_granted:
                return taken, flight.is_waiting
            left_s = until_s - loop.time()
            if left_s <= 0:
                return taken, False
            flight.is_waiting = True
            flight.let_go(loop.time())
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, taken.lease_ms / 1000, _LOOK_S)):
                    await flight.news.wait()


def _is_answered(turn: Turn) -> bool:
    return turn.done() and not turn.cancelled() and turn.exception() is None
