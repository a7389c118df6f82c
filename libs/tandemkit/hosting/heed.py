"""The traffic policy at a host: which calls may not stay in the process, since only the mesh can
weigh, fault or divert them; and how many an agent takes on.

Control being away changes nothing: what was told last holds. Before the first word nothing does,
for a host that waited for it could not serve while control is down.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tandem.control.v1 import registry_service_pb2 as pb
from tandem.control.v1 import traffic_policy_pb2 as nouns
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.hosting.control_value import ControlValue, Followed
from tandemkit.mesh.kept_policy import POLICY_KEY, Unreadable, record_in
from tandemkit.rpc.server import Server

_LOGGER = logging.getLogger("tandemkit.hosting")


@dataclass(frozen=True, slots=True)
class Heard:
    """Who listens where: `host` is `hosts/{id}`, which policy may drain."""

    controls: Sequence[str]
    host: str
    server: Server


class Heed:
    """Watches the policy, and applies it to the server."""

    def __init__(
        self, heard: Heard, clock: Clock, draw: Callable[[], float] = random.random
    ) -> None:
        self._heard, self._version = heard, 0
        followed = Followed(POLICY_KEY, heard.controls, heard.server.token, "host.policy_stale")
        self._value = ControlValue(followed, self._take, clock, draw)

    async def run(self) -> None:
        """Until cancelled."""
        await self._value.run()

    def _take(self, told: pb.WatchValueResponse) -> None:
        try:
            record = record_in(told.value) if told.HasField("value") else nouns.PolicyRecord()
        except Unreadable as error:
            log.event(_LOGGER, logging.ERROR, "host.policy_unreadable", cause=str(error))
            return
        if record.change.version != self._version:
            self._version = record.change.version
            heed(record.policy, self._heard.host, self._heard.server)
            log.event(_LOGGER, logging.INFO, "host.policy_heeded", version=self._version)


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
