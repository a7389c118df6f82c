"""The policy and its history. The record in force holds its own change; before it is replaced it is
archived. So a crash in between loses nothing, and nothing is kept that never was in force.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

from services.control.traffic_policy.admission import objection_to, stranger_in
from services.control.traffic_policy.editing import difference, tidied
from services.control.traffic_policy.shelf import Latest, Overtaken, Shelf
from tandem.control.v1 import errors_pb2 as errors
from tandem.control.v1 import traffic_policy_pb2 as pb
from tandemkit.core.clock import Clock
from tandemkit.core.errors import CallerError

KEPT_MAX = 1000
# Writers who do not care for the version try again after each other; each round one of them wins.
_ATTEMPTS_MAX = 50


@dataclass(frozen=True, slots=True)
class Order:
    """A change that somebody asks for: `edit` makes the new policy of the record in force."""

    edit: Callable[[pb.PolicyRecord], Awaitable[pb.TrafficPolicy]]
    note: pb.ChangeNote
    peer: str
    expected_version: int | None = None
    allow_absent: bool = False
    undone_version: int = 0


class Ledger:
    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        self._shelf, self._clock = shelf, clock

    async def latest(self) -> pb.PolicyRecord:
        """The one in force; its version is 0 where there was none yet."""
        return (await self._shelf.latest()).record

    async def at(self, version: int) -> pb.PolicyRecord:
        """An earlier one, or the latest. What was before the first change is empty."""
        latest = await self.latest()
        if version == latest.change.version:
            return latest
        found = None
        if latest.change.version - KEPT_MAX < version < latest.change.version:
            found = await self._shelf.earlier(version) if version else pb.PolicyRecord()
        if found is None:
            message = "there is no such version of the policy, or it is no longer kept"
            reason = errors.ERROR_REASON_CHANGE_NOT_FOUND
            raise CallerError(
                reason, message, version=version, latest_version=latest.change.version
            )
        return found

    async def kept(self) -> range:
        """The versions whose changes are kept, the latest first."""
        latest = (await self.latest()).change.version
        return range(latest, max(0, latest - KEPT_MAX), -1)

    async def changes(self, versions: list[int]) -> list[pb.PolicyChange]:
        """Those of them that are still kept."""
        latest = await self.latest()
        found: list[pb.PolicyChange] = []
        for version in versions:
            is_latest = version == latest.change.version
            record = latest if is_latest else await self._shelf.earlier(version)
            if record is not None:
                found.append(record.change)
        return found

    async def change(self, order: Order) -> pb.PolicyRecord:
        """The record in force afterwards: a new one, unless it was so already."""
        latest = await self._shelf.latest()
        for _ in range(_ATTEMPTS_MAX):
            wanted = tidied(await order.edit(latest.record))
            if wanted == latest.record.policy:
                return latest.record
            if order.expected_version not in {None, latest.version}:
                break
            await self._admit(latest.record.policy, wanted, order)
            record = self._record(latest, wanted, order)
            if latest.version:
                await self._shelf.archive(latest.record)
            if record.change.version > KEPT_MAX:
                await self._shelf.discard(record.change.version - KEPT_MAX)
            try:
                await self._shelf.replace(latest, record)
            except Overtaken:
                latest = await self._shelf.latest()
                continue
            return record
        message = "the policy has another version"
        raise CallerError(
            errors.ERROR_REASON_VERSION_CONFLICT, message, latest_version=latest.version
        )

    def watch(self) -> AsyncGenerator[Latest, None]:
        return self._shelf.watch()

    async def _admit(self, before: pb.TrafficPolicy, after: pb.TrafficPolicy, order: Order) -> None:
        if why := objection_to(after):
            message = "such a policy is not kept"
            raise CallerError(
                errors.ERROR_REASON_POLICY_REFUSED, message, field="policy", cause=why
            )
        if order.allow_absent:
            return
        found = stranger_in(before, after, await self._shelf.hosts())
        if found is not None:
            message = "the fleet has no such name; allow_absent takes it all the same"
            said = {"kind": found.kind, "name": found.name}
            if found.near:
                said["near"] = ", ".join(found.near)
            reason = errors.ERROR_REASON_NOT_IN_FLEET
            raise CallerError(reason, message, field=found.field, **said)

    def _record(self, latest: Latest, wanted: pb.TrafficPolicy, order: Order) -> pb.PolicyRecord:
        change = difference(latest.record.policy, wanted)
        change.version = latest.version + 1
        change.time.FromDatetime(self._clock.now())
        change.note.CopyFrom(order.note)
        change.peer = order.peer
        change.undone_version = order.undone_version
        return pb.PolicyRecord(policy=wanted, change=change)
