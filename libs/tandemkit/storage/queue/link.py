"""A connection to a broker that is made again whenever it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, Protocol, TypeVar

from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.reach.failure import Unreachable

# Whoever asks is waiting: an answer that takes longer is none.
ANSWER_S_MAX = 5.0
_PAUSE_S_MIN, _PAUSE_S_MAX = 0.1, 2.0
_LOGGER = logging.getLogger("tandemkit.storage")


class Session(Protocol):
    """One connection, from its first moment to its last."""

    lost: asyncio.Event


Kind = TypeVar("Kind", bound=Session)


class Link(Generic[Kind]):
    """`connect` makes a session and closes it; it raises Unreachable."""

    def __init__(
        self, connect: Callable[[], AbstractAsyncContextManager[Kind]], broker: str, clock: Clock
    ) -> None:
        self._connect, self._broker, self._clock = connect, broker, clock
        self._session: Kind | None = None
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            try:
                async with self._connect() as session:
                    failures, self._session = 0, session
                    self._changed.set()
                    await session.lost.wait()
            except Unreachable as error:
                failures += 1
                if failures == 1:
                    said = {"broker": self._broker, "cause": str(error)}
                    log.event(_LOGGER, logging.WARNING, "queue.unreachable", **said)
            finally:
                self._session = None
                self._changed.clear()
            await self._clock.sleep(min(_PAUSE_S_MIN * 2.0 ** min(failures, 10), _PAUSE_S_MAX))

    async def session(self) -> Kind:
        """The one that there is, waiting a while for it. Raises Unreachable."""
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                return await self.next_session()
        except TimeoutError as error:
            raise Unreachable("the broker does not answer", broker=self._broker) from error

    async def next_session(self) -> Kind:
        """The same, however long it takes."""
        while self._session is None or self._session.lost.is_set():
            self._changed.clear()
            await self._changed.wait()
        return self._session

    async def check(self) -> None:
        """Raises Unreachable where there is no session now."""
        if self._session is None or self._session.lost.is_set():
            raise Unreachable("the broker does not answer", broker=self._broker)
