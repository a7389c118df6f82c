"""What recorded events come to, kept up to date where it is read: docs/design/flow.md."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import grpc

from tandem.platform.v1 import event_store_service_pb2 as pb
from tandem.platform.v1 import event_store_service_pb2_grpc as rpc
from tandemkit.core import log
from tandemkit.core.clock import Clock

_LOGGER = logging.getLogger("tandemkit.hosting")
State = TypeVar("State")
AGAIN_S = 1.0


class Projection(Generic[State]):
    """`state`, to which `apply` was told each event of the streams that begin with `prefix`, in
    their order and once. Whoever reads it asks nobody, and sees what was recorded up to `position`.

    What `apply` raises ends `keep`: an event that cannot be read now cannot be read later either.
    """

    def __init__(
        self,
        store: rpc.EventStoreServiceAsyncStub,
        prefix: str,
        state: State,
        apply: Callable[[State, pb.Event], None],
        clock: Clock,
    ) -> None:
        self.state = state
        self.position = 0
        self._store, self._prefix, self._apply, self._clock = store, prefix, apply, clock
        self._lost_s: float | None = clock.monotonic_s()
        self._changed = asyncio.Event()

    @property
    def behind_s(self) -> float:
        """For how long it may have missed events: 0 once it has caught up, and while it follows."""
        return 0.0 if self._lost_s is None else self._clock.monotonic_s() - self._lost_s

    async def reached(self, position: int) -> None:
        """Returns when the event at `position`, such as one's own, is in it."""
        while self.position < position:
            self._changed.clear()
            await self._changed.wait()

    async def keep(self) -> None:
        """Follows the store until it is cancelled: a task of whoever has the projection."""
        while True:
            try:
                await self._catch_up()
                self._lost_s = None
                await self._follow()
            except grpc.aio.AioRpcError as error:
                if self._lost_s is None:
                    self._lost_s = self._clock.monotonic_s()
                    log.event(_LOGGER, logging.WARNING, "projection.lost", cause=error.code().name)
            await self._clock.sleep(AGAIN_S)

    async def _catch_up(self) -> None:
        while True:
            request = pb.ReadEventsRequest(stream_prefix=self._prefix, after_position=self.position)
            found = await self._store.ReadEvents(request)
            for event in found.events:
                self._heard(event)
            if not found.events:
                return

    async def _follow(self) -> None:
        request = pb.FollowEventsRequest(stream_prefix=self._prefix, after_position=self.position)
        call: Any = self._store.FollowEvents(request)
        try:
            async for response in call:
                self._heard(response.event)
        finally:
            call.cancel()

    def _heard(self, event: pb.Event) -> None:
        self._apply(self.state, event)
        self.position = event.position
        self._changed.set()
