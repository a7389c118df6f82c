"""Feature flags as one agent follows them: each is decided in its own process, by what the flags'
agent told last, so a look costs no call and goes on while nobody answers.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tandem.platform.v1 import feature_flag_pb2 as nouns
from tandem.platform.v1 import feature_flag_service_pb2 as pb
from tandem.platform.v1 import feature_flag_service_pb2_grpc as rpc
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.hosting.flag_resolving import context_of, resolved
from tandemkit.hosting.scope import Scope
from tandemkit.hosting.told import Copy, Listener
from tandemkit.supervise.alarm import Turns

_LOGGER = logging.getLogger("tandemkit.hosting")
_NOBODY: Final[Mapping[str, object]] = {}


class Unflagged(Failure):
    """Nobody has told any flags yet."""


class Flags:
    """See `follow`. Each look names the value for when there is no such flag, or one of another
    kind: a caller always gets something that it can work with.
    """

    def __init__(
        self,
        stub: rpc.FeatureFlagServiceAsyncStub,
        known: Mapping[str, object],
        file: Path,
    ) -> None:
        """`known` is what every look has in its context."""
        self.stale = True
        self._known, self._copy = dict(known), Copy(file, nouns.FlagRecord)
        self._listener = Listener(
            "the flags' agent",
            lambda: stub.WatchFlags(pb.WatchFlagsRequest()),
            self._take,
            self._lost,
        )
        self._flags: dict[str, nouns.Flag] = {}
        self._version: int | None = None
        self._turns = Turns()

    def boolean(
        self, key: str, *, default: bool, who: str = "", about: Mapping[str, object] = _NOBODY
    ) -> bool:
        """For `who`, about whom more may be known."""
        return bool(self._value(key, "boolean", default, who, about))

    def text(
        self, key: str, *, default: str, who: str = "", about: Mapping[str, object] = _NOBODY
    ) -> str:
        """The same, of a flag whose values are texts."""
        return str(self._value(key, "text", default, who, about))

    def whole(
        self, key: str, *, default: int, who: str = "", about: Mapping[str, object] = _NOBODY
    ) -> int:
        """The same, of whole numbers."""
        return int(self._value(key, "whole", default, who, about))

    def real(
        self, key: str, *, default: float, who: str = "", about: Mapping[str, object] = _NOBODY
    ) -> float:
        """The same, of numbers."""
        return float(self._value(key, "real", default, who, about))

    async def changed(self) -> None:
        """Returns when a flag, or whether all are stale, has become another one."""
        await self._turns.next()

    async def known(self) -> None:
        """For `ready_when`: raises Unflagged while nothing was ever told."""
        if self._version is None:
            raise Unflagged("no agent of the platform has told any flags yet")

    async def load(self) -> None:
        """What an earlier life kept."""
        copy = await self._copy.load()
        if copy is not None:
            self._flags = {flag.key: flag for flag in copy.flags}
            self._version = copy.change.version

    async def run(self, clock: Clock) -> None:
        """Follows until cancelled."""
        await self._listener.run(clock)

    def _value(
        self, key: str, field: str, default: Any, who: str, about: Mapping[str, object]
    ) -> Any:
        flag = self._flags.get(key)
        if flag is None:
            return default
        found = resolved(flag, context_of(who, {**self._known, **about}))
        if not found.HasField("value") or found.value.WhichOneof("value") != field:
            return default
        return getattr(found.value, field)

    async def _take(self, told: pb.WatchFlagsResponse) -> None:
        is_other = told.stale is not self.stale
        self.stale = told.stale
        if told.HasField("snapshot"):
            self._flags = {flag.key: flag for flag in told.snapshot.flags}
            self._version = told.version
        if is_other or told.HasField("snapshot"):
            self._turns.tell()
        if told.HasField("snapshot"):
            change = nouns.FlagChange(version=told.version)
            await self._copy.keep(nouns.FlagRecord(flags=told.snapshot.flags, change=change))

    def _lost(self, cause: str) -> None:
        if not self.stale:
            self.stale = True
            log.event(_LOGGER, logging.WARNING, "flags.followed_stale", cause=cause)
            self._turns.tell()


async def follow(scope: Scope) -> Flags:
    """All flags, for as long as the instance lives; it is known by the attributes `agent` and
    `machine`. It does not wait for the flags' agent, whose contract is among its `soft_calls`.
    """
    known = {"agent": scope.name, "machine": scope.where.machine, "profile": scope.where.profile}
    stub = scope.stub(rpc.FeatureFlagServiceStub)
    found = Flags(stub, known, scope.state_dir / "flags.copy")
    await found.load()
    scope.spawn("flags", found.run(scope.clock))
    return found
