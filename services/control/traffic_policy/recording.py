"""Each change of the policy becomes an event, once. The registry keeps the changes, so nothing is
lost while the event store is away, and whoever of several controls comes first tells it.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from services.control.traffic_policy.ledger import KEPT_MAX, Ledger
from tandem.control.v1 import traffic_policy_pb2 as pb
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.storage.events.protocol import Event, NewEvent

STREAM = "policy/traffic"
_KIND = pb.PolicyChange.DESCRIPTOR.full_name
_LOGGER = logging.getLogger("tandem.control")
_PAUSE_S_MIN, _PAUSE_S_MAX = 0.5, 30.0


class Store(Protocol):
    """The part of the event store that is needed for it. Both raise Failure."""

    async def append(self, stream: str, events: Sequence[NewEvent]) -> object:
        """As `tandemkit.storage.events.protocol.EventStore` does."""

    async def read(self, stream: str, after: int) -> Sequence[Event]:
        """A page behind that version; none where there are no more."""


class Recording:
    def __init__(
        self,
        ledger: Ledger,
        store: Store,
        clock: Clock,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._ledger, self._store, self._clock, self._draw = ledger, store, clock, draw
        # The latest change that the store has; None: not asked yet.
        self._told: pb.PolicyChange | None = None
        self._failures = 0

    async def run(self) -> None:
        """Until cancelled. It is nobody's health: a policy holds whether or not it is recorded."""
        while True:
            try:
                async with aclosing(self._ledger.watch()) as latest:
                    async for one in latest:
                        await self._tell(one.version)
                        self._failures = 0
            except Failure as error:
                self._told = None
                if not self._failures:
                    log.event(_LOGGER, logging.WARNING, "policy.unrecorded", cause=str(error))
            self._failures += 1
            await self._clock.sleep(self._pause_s())

    async def _tell(self, latest: int) -> None:
        """One by one, so that each is known by its id whatever was sent with it before."""
        if not latest:
            return
        if self._told is None:
            self._told = await self._last()
        first = self._told.version + 1
        if not await self._is_ours(self._told):
            first = 1
        for version in range(max(first, latest - KEPT_MAX + 1), latest + 1):
            change = (await self._ledger.at(version)).change
            await self._store.append(STREAM, [_event(change)])
            self._told = change

    async def _is_ours(self, told: pb.PolicyChange) -> bool:
        """Whether it is a change of this history, and not of a registry that there was before."""
        if not told.version:
            return True
        found = await self._ledger.changes([told.version])
        return found == [told]

    async def _last(self) -> pb.PolicyChange:
        last, after = pb.PolicyChange(), 0
        while page := await self._store.read(STREAM, after):
            after, last = page[-1].version, pb.PolicyChange.FromString(page[-1].content)
        return last

    def _pause_s(self) -> float:
        doubled_s = _PAUSE_S_MIN * 2.0 ** min(self._failures, 10)
        return min(_PAUSE_S_MAX, doubled_s) * (0.5 + self._draw() / 2)


def _event(change: pb.PolicyChange) -> NewEvent:
    # A registry that was made anew counts from 1 again; its changes are others.
    name = f"{STREAM}/{change.version}/{change.time.ToNanoseconds()}"
    return NewEvent(name, _KIND, change.SerializeToString(deterministic=True))
