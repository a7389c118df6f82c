"""The traffic policy at a host: which calls may not stay in the process, since only the mesh can
weigh, fault or divert them; and how many an agent takes on.

Control being away changes nothing: what was told last holds. Before the first word nothing does,
for a host that waited for it could not serve while control is down.
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
from tandem.control.v1 import traffic_policy_pb2 as nouns
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.hosting.announce import pause_s
from tandemkit.mesh.kept_policy import POLICY_KEY, Unreadable, record_in
from tandemkit.rpc import channel
from tandemkit.rpc.bearing import bearing
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.rpc.server import Server

# A control that is frozen keeps its streams open and says nothing. So a watch begins anew, half of
# that or later, and one that does not answer its beginning goes on at the next control.
WATCH_S_MAX, ANSWER_S_MAX = 60.0, 3.0
_LOGGER = logging.getLogger("tandemkit.hosting")


class _Silent(Failure):
    """Control ended the watch, or did not begin it in time."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Who listens where: `host` is `hosts/{id}`, which policy may drain."""

    controls: Sequence[str]
    host: str
    server: Server


class Heed:
    """Watches the policy at the first control that answers, and applies it to the server."""

    def __init__(
        self, heard: Heard, clock: Clock, draw: Callable[[], float] = random.random
    ) -> None:
        self._heard, self._clock, self._draw = heard, clock, draw
        self._failures = 0
        self._version = 0

    async def run(self) -> None:
        """Until cancelled."""
        for control in itertools.cycle(self._heard.controls):
            try:
                async with channel.shared(control) as wire:
                    stub = rpc.RegistryServiceStub(bearing(wire, self._heard.server.token))
                    while True:
                        await self._watch(stub)
            except (grpc.aio.AioRpcError, _Silent) as error:
                self._failures += 1
                self._report(control, error)
            await self._clock.sleep(pause_s(self._failures, self._draw()))

    async def _watch(self, stub: rpc.RegistryServiceAsyncStub) -> None:
        """One watch, which ends by itself after a while."""
        call: Any = stub.WatchValue(pb.WatchValueRequest(key=POLICY_KEY))
        try:
            self._take(await _within(ANSWER_S_MAX, call))
            self._failures = 0
            async with asyncio.timeout(WATCH_S_MAX * (0.5 + self._draw() / 2)):
                while True:
                    self._take(await call.read())
        except TimeoutError:
            return
        finally:
            call.cancel()

    def _take(self, told: Any) -> None:
        if told is grpc.aio.EOF:
            raise _Silent("control ended the watch")
        try:
            record = record_in(told.value) if told.HasField("value") else nouns.PolicyRecord()
        except Unreadable as error:
            log.event(_LOGGER, logging.ERROR, "host.policy_unreadable", cause=str(error))
            return
        if record.change.version != self._version:
            self._version = record.change.version
            heed(record.policy, self._heard.host, self._heard.server)
            log.event(_LOGGER, logging.INFO, "host.policy_heeded", version=self._version)

    def _report(self, control: str, error: grpc.aio.AioRpcError | _Silent) -> None:
        if self._failures > 1:
            return
        cause = str(error) if isinstance(error, _Silent) else RemoteFailure.of(error).message
        log.event(_LOGGER, logging.WARNING, "host.policy_stale", control=control, cause=cause)


async def _within(wait_s: float, call: Any) -> Any:
    try:
        async with asyncio.timeout(wait_s):
            return await call.read()
    except TimeoutError as error:
        raise _Silent("control did not answer in time") from error


def heed(policy: nouns.TrafficPolicy, host: str, server: Server) -> None:
    """Applies it, in place of whatever was applied before."""
    bent = frozenset(
        one.service
        for one in policy.services
        if one.shares or one.preferences or one.HasField("fault")
    )
    is_drained = host in policy.drained_hosts
    server.local.permit(lambda service: not is_drained and service not in bent)
    server.limit({one.service: one.concurrent_calls_max for one in policy.services})
