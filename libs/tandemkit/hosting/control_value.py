"""One value of the registry as a host follows it, for as long as it is announced. What was told
last holds while no control answers.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from tandem.control.v1 import registry_service_pb2 as pb
from tandem.control.v1 import registry_service_pb2_grpc as rpc
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.core.token import Token
from tandemkit.hosting.announce import pause_s
from tandemkit.rpc import channel
from tandemkit.rpc.bearing import bearing
from tandemkit.rpc.remote import RemoteFailure

# A control that is frozen keeps its streams open and says nothing. So a watch begins anew, half of
# that or later, and one that does not answer its beginning goes on at the next control.
WATCH_S_MAX, ANSWER_S_MAX = 60.0, 3.0
_LOGGER = logging.getLogger("tandemkit.hosting")


class _Silent(Failure):
    """Control ended the watch, or did not begin it in time."""


@dataclass(frozen=True, slots=True)
class Followed:
    """Which value, who is asked in turn, and the event that says that nobody answers."""

    key: str
    controls: Sequence[str]
    token: Token | None
    stale: str


class ControlValue:
    """Watches it at the first control that answers; `take` hears it at the beginning of each watch
    and whenever it is another one.
    """

    def __init__(
        self,
        followed: Followed,
        take: Callable[[pb.WatchValueResponse], None],
        clock: Clock,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._followed, self._take = followed, take
        self._clock, self._draw = clock, draw
        self._failures = 0

    async def run(self) -> None:
        """Until cancelled."""
        for control in itertools.cycle(self._followed.controls):
            try:
                async with channel.shared(control) as wire:
                    stub = rpc.RegistryServiceStub(bearing(wire, self._followed.token))
                    while True:
                        await self._watch(stub)
            except (grpc.aio.AioRpcError, _Silent) as error:
                self._failures += 1
                self._report(control, error)
            await self._clock.sleep(pause_s(self._failures, self._draw()))

    async def _watch(self, stub: rpc.RegistryServiceAsyncStub) -> None:
        """One watch, which ends by itself after a while."""
        call: Any = stub.WatchValue(pb.WatchValueRequest(key=self._followed.key))
        try:
            self._hear(await _within(ANSWER_S_MAX, call))
            self._failures = 0
            async with asyncio.timeout(WATCH_S_MAX * (0.5 + self._draw() / 2)):
                while True:
                    self._hear(await call.read())
        except TimeoutError:
            return
        finally:
            call.cancel()

    def _hear(self, told: Any) -> None:
        if told is grpc.aio.EOF:
            raise _Silent("control ended the watch")
        self._take(told)

    def _report(self, control: str, error: grpc.aio.AioRpcError | _Silent) -> None:
        if self._failures > 1:
            return
        cause = str(error) if isinstance(error, _Silent) else RemoteFailure.of(error).message
        log.event(_LOGGER, logging.WARNING, self._followed.stale, control=control, cause=cause)


async def _within(wait_s: float, call: Any) -> Any:
    try:
        async with asyncio.timeout(wait_s):
            return await call.read()
    except TimeoutError as error:
        raise _Silent("control did not answer in time") from error
