"""The configuration's history, as it becomes events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from services.platform.config_server.ledger import KEPT_MAX, Ledger, record_of
from tandem.platform.v1 import config_value_pb2 as nouns
from tandemkit.hosting.history import Past

STREAM = "config"


class ConfigHistory:
    """`tandemkit.hosting.history.History`."""

    def __init__(self, ledger: Ledger) -> None:
        self.stream, self.kept_max = STREAM, KEPT_MAX
        self._ledger = ledger

    async def latest(self) -> AsyncGenerator[int, None]:
        async with aclosing(self._ledger.watch()) as told:
            async for stored in told:
                yield record_of(stored).change.version

    async def change(self, version: int) -> Past | None:
        found = await self._ledger.changes([version])
        return _past(found[0]) if found else None

    def read(self, content: bytes) -> Past:
        return _past(nouns.ConfigChange.FromString(content))


def _past(change: nouns.ConfigChange) -> Past:
    return Past(change.version, change.change_time.ToNanoseconds(), change)
