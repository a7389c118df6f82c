"""The traffic policy as the registry last told it. While the registry is silent, or tells what
nobody can read, the last good one stays.
"""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Protocol

from services.control.fleet_status.follower import RegistryLost, pause_s
from services.control.fleet_status.telling import Telling
from tandem.control.v1 import registry_service_pb2 as pb
from tandem.control.v1.traffic_policy_pb2 import PolicyRecord
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.mesh.kept_policy import POLICY_KEY, Unreadable, policy_of, record_in
from tandemkit.mesh.policy import TrafficPolicy

_LOGGER = logging.getLogger("services.control.fleet_status")


class Values(Protocol):
    """What is asked of the registry. Raises RegistryLost."""

    def value(self, key: str) -> AsyncIterator[pb.WatchValueResponse]:
        """A value as it is, and whenever it is another one."""


class PolicyFollower:
    """`stale_since` is set while there may be a newer policy; `unreadable` says why the one that is
    kept cannot be used.
    """

    def __init__(
        self,
        values: Values,
        telling: Telling,
        clock: Clock,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.stale_since: datetime | None = clock.now()
        self.unreadable = ""
        self._values, self._telling = values, telling
        self._clock, self._draw = clock, draw
        self._failures = 0

    @property
    def version(self) -> int:
        """Of the policy that was told last; 0 where there is none."""
        return self._telling.policy.version if self._telling.policy else 0

    async def known(self) -> None:
        """Raises until the registry has told a policy, or that there is none."""
        if self._telling.policy is None:
            raise ConnectionError("the registry has not told the policy yet")

    async def run(self) -> None:
        """Follows until cancelled."""
        while True:
            try:
                await self._follow()
            except RegistryLost as error:
                self._lost(error)
            await self._clock.sleep(pause_s(self._failures, self._draw()))

    async def _follow(self) -> None:
        async for told in self._values.value(POLICY_KEY):
            self._take(told)
        raise RegistryLost("the registry ended the stream")

    def _take(self, told: pb.WatchValueResponse) -> None:
        self._failures, self.stale_since, self.unreadable = 0, None, ""
        try:
            # Where nobody has set a policy, there is an empty one.
            said = record_in(told.value) if told.HasField("value") else PolicyRecord()
        except Unreadable as error:
            self.unreadable = str(error)
            log.event(_LOGGER, logging.ERROR, "fleet.policy_unreadable", cause=str(error))
            policy = self._telling.policy or TrafficPolicy()
        else:
            policy = policy_of(said.policy, said.change.version)
        self._telling.policy_is(policy)

    def _lost(self, error: RegistryLost) -> None:
        self._failures += 1
        if self._failures == 1:
            self.stale_since = self.stale_since or self._clock.now()
            log.event(_LOGGER, logging.WARNING, "fleet.policy_stale", cause=str(error))
