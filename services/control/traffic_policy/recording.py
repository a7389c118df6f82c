"""The policy's history, as it becomes events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from services.control.traffic_policy.ledger import KEPT_MAX, Ledger
from tandem.control.v1 import traffic_policy_pb2 as pb
from tandemkit.hosting.history import Past

STREAM = "policy/traffic"


class PolicyHistory:
    """`tandemkit.hosting.history.History`."""

    def __init__(self, ledger: Ledger) -> None:
        self.stream, self.kept_max = STREAM, KEPT_MAX
        self._ledger = ledger

    async def latest(self) -> AsyncGenerator[int, None]:
        async with aclosing(self._ledger.watch()) as latest:
            async for one in latest:
                yield one.version

    async def change(self, version: int) -> Past | None:
        found = await self._ledger.changes([version])
        return _past(found[0]) if found else None

    def read(self, content: bytes) -> Past:
        return _past(pb.PolicyChange.FromString(content))


def _past(change: pb.PolicyChange) -> Past:
    return Past(change.version, change.time.ToNanoseconds(), change)
