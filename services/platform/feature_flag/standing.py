"""The flags that hold now, as the registry told them last."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from services.platform.feature_flag.editing import Records
from tandem.platform.v1 import feature_flag_pb2 as nouns
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.hosting.chronicle import Following, version_of
from tandemkit.supervise.alarm import Turns


class NotKnown(Failure):
    """The registry has not told any yet."""


class Standing:
    def __init__(self, records: Records, clock: Clock) -> None:
        self.told = Following(records, clock, self._look_again)
        self._flags: Mapping[str, nouns.Flag] = {}
        self._turns = Turns()
        # Told anew with each change, also of whether they are stale.
        self.turn = 0

    @property
    def flags(self) -> Mapping[str, nouns.Flag]:
        """By their keys, in that order. Raises NotKnown."""
        if self.told.record is None:
            raise NotKnown("the registry has not told which flags there are")
        return self._flags

    @property
    def version(self) -> int:
        return version_of(self.told.record) if self.told.record is not None else 0

    @property
    def stale(self) -> bool:
        return self.told.stale

    async def known(self) -> None:
        """Raises until anybody can be told anything."""
        assert self.flags is not None

    async def changed(self, since: int, within_s: float) -> None:
        """Returns once `turn` is another one, or after that time."""
        if self.turn == since:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._turns.next()

    def _look_again(self) -> None:
        if self.told.record is not None:
            self._flags = {flag.key: flag for flag in self.told.record.flags}
        self.turn += 1
        self._turns.tell()
