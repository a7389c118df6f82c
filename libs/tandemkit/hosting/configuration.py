"""Configuration that changes while an agent runs, as one agent follows it: what the config server
told last is kept on disk, so the agent has it, marked stale, also where nobody answers.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tandem.platform.v1 import config_server_service_pb2 as pb
from tandem.platform.v1 import config_server_service_pb2_grpc as rpc
from tandem.platform.v1 import config_value_pb2 as nouns
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.hosting.scope import Scope
from tandemkit.hosting.told import Copy, Listener
from tandemkit.supervise.alarm import Turns

_LOGGER = logging.getLogger("tandemkit.hosting")


class Unconfigured(Failure):
    """There is no value: no layer has one, or nobody has told any yet."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A value, where it came from, and whether there may be a later one. A stale one was told at
    `told`, maybe in an earlier life of the agent.
    """

    value: nouns.ConfigValue
    origin: nouns.ConfigOrigin
    version: int
    stale: bool
    told: datetime


class Configuration:
    """See `follow`."""

    def __init__(
        self,
        stub: rpc.ConfigServerServiceAsyncStub,
        asked: pb.WatchConfigValuesRequest,
        file: Path,
        clock: Clock,
    ) -> None:
        self._asked, self._clock = asked, clock
        self._copy = Copy(file, nouns.ConfigCopy)
        self._listener = Listener(
            "the config server", lambda: stub.WatchConfigValues(asked), self._take, self._lost
        )
        self._entries: dict[str, nouns.ConfigEntry] = {}
        self._version = 0
        self._told: datetime | None = None
        self._stale = True
        self._turns = Turns()

    def reading(self, key: str) -> Reading:
        """As it was told last. Raises Unconfigured."""
        entry = self._entries.get(key)
        if self._told is None or entry is None or not entry.HasField("value"):
            raise Unconfigured("the key has no value here", key=key, told=self._told is not None)
        return Reading(entry.value, entry.origin, self._version, self._stale, self._told)

    async def changed(self) -> None:
        """Returns when a value, or whether all are stale, has become another one."""
        await self._turns.next()

    async def known(self) -> None:
        """For `ready_when`: raises Unconfigured while nothing was ever told."""
        if self._told is None:
            raise Unconfigured("no config server has told anything yet")

    async def load(self) -> None:
        """What an earlier life kept."""
        copy = await self._copy.load()
        if copy is None or copy.prefix != self._asked.prefix:
            return
        self._entries = {entry.key: entry for entry in copy.entries}
        self._version = copy.version
        self._told = copy.told_time.ToDatetime(self._clock.now().tzinfo)

    async def run(self) -> None:
        """Follows until cancelled."""
        await self._listener.run(self._clock)

    async def _take(self, told: pb.WatchConfigValuesResponse) -> None:
        said = told.WhichOneof("event") is not None or told.stale is not self._stale
        if told.HasField("snapshot"):
            self._entries = {entry.key: entry for entry in told.snapshot.entries}
        else:
            self._entries |= {entry.key: entry for entry in told.changed.entries}
            for key in told.changed.gone_keys:
                self._entries.pop(key, None)
        self._version, self._stale = told.version, told.stale
        self._told = self._clock.now()
        if said:
            self._turns.tell()
            await self._keep(self._told)

    async def _keep(self, told: datetime) -> None:
        copy = nouns.ConfigCopy(
            entries=self._entries.values(), version=self._version, prefix=self._asked.prefix
        )
        copy.told_time.FromDatetime(told)
        await self._copy.keep(copy)

    def _lost(self, cause: str) -> None:
        if not self._stale:
            self._stale = True
            log.event(_LOGGER, logging.WARNING, "config.followed_stale", cause=cause)
            self._turns.tell()


async def follow(scope: Scope, prefix: str) -> Configuration:
    """The keys that begin so, as they hold for this instance, for as long as it lives. It does not
    wait for the config server, whose contract the agent has among its `soft_calls`.
    """
    target = nouns.ConfigTarget(machine=scope.where.machine, agent=scope.name)
    asked = pb.WatchConfigValuesRequest(prefix=prefix, target=target)
    stub = scope.stub(rpc.ConfigServerServiceStub)
    found = Configuration(stub, asked, scope.state_dir / "config.copy", scope.clock)
    await found.load()
    scope.spawn("config", found.run())
    return found
