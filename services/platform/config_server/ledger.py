"""What is set at run time, in the registry: one record in force, which holds the change that made
it, and the changes before it. A crash between two writes loses nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from typing import Protocol

from services.platform.config_server.resolution import whose
from tandem.platform.v1 import config_value_pb2 as nouns
from tandem.platform.v1 import errors_pb2 as errors
from tandemkit.core.clock import Clock
from tandemkit.core.errors import CallerError

KEPT_MAX = 1000
RECORD_KEY = "config/current"
_CHANGES = "config/changes/"
# Writers who do not care for the version try again; each round one of them wins.
_ATTEMPTS_MAX = 50


class Overtaken(Exception):
    """Somebody else wrote in between."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A value's content, and its version in the registry; None and 0 where there is none."""

    content: bytes | None
    version: int


class Values(Protocol):
    """What is asked of the registry. All raise TransientError where it does not answer."""

    async def read(self, key: str) -> Stored:
        """A value as last written."""

    async def write(self, key: str, schema: str, content: bytes, expected: int) -> None:
        """Over that version only, else raises Overtaken; CallerError where it is too large."""

    async def remove(self, key: str) -> None:
        """Harmless where there is none."""

    def watch(self, key: str) -> AsyncGenerator[Stored, None]:
        """The value as it is, and whenever it is another one."""


@dataclass(frozen=True, slots=True)
class Order:
    """A change that somebody asks for; without a `value` it takes one back."""

    key: str
    target: nouns.ConfigTarget
    value: nouns.ConfigValue | None
    note: nouns.ConfigNote
    peer: str
    expected_version: int | None


class Ledger:
    def __init__(self, values: Values, clock: Clock) -> None:
        self._values, self._clock = values, clock

    async def change(self, order: Order) -> nouns.ConfigRecord:
        """The record in force afterwards: a new one, unless it was so already."""
        latest = nouns.ConfigRecord()
        for _ in range(_ATTEMPTS_MAX):
            stored = await self._values.read(RECORD_KEY)
            latest = record_of(stored)
            before = _found(latest, order)
            if before == order.value:
                return latest
            if order.expected_version not in {None, latest.change.version}:
                break
            record = self._record(latest, before, order)
            try:
                await self._replace(latest, stored.version, record)
            except Overtaken:
                continue
            return record
        message = "the configuration has another version"
        reason = errors.ERROR_REASON_CONFIG_VERSION_CONFLICT
        raise CallerError(reason, message, latest_version=latest.change.version)

    async def versions(self) -> range:
        """Those of the changes that are kept, the latest first."""
        latest = record_of(await self._values.read(RECORD_KEY)).change.version
        return range(latest, max(0, latest - KEPT_MAX), -1)

    async def changes(self, versions: Iterable[int]) -> list[nouns.ConfigChange]:
        """Those of them that are still kept."""
        latest = record_of(await self._values.read(RECORD_KEY)).change
        found = []
        for version in versions:
            if version == latest.version:
                found.append(latest)
                continue
            content = (await self._values.read(f"{_CHANGES}{version}")).content
            if content is not None:
                found.append(nouns.ConfigChange.FromString(content))
        return found

    def watch(self) -> AsyncGenerator[Stored, None]:
        """The record in force, now and whenever it is another one."""
        return self._values.watch(RECORD_KEY)

    async def _replace(
        self, latest: nouns.ConfigRecord, stored_version: int, record: nouns.ConfigRecord
    ) -> None:
        if latest.change.version:
            await self._archive(latest.change)
        if record.change.version > KEPT_MAX:
            await self._values.remove(f"{_CHANGES}{record.change.version - KEPT_MAX}")
        schema = nouns.ConfigRecord.DESCRIPTOR.full_name
        content = record.SerializeToString(deterministic=True)
        await self._values.write(RECORD_KEY, schema, content, stored_version)

    async def _archive(self, change: nouns.ConfigChange) -> None:
        schema = nouns.ConfigChange.DESCRIPTOR.full_name
        content = change.SerializeToString(deterministic=True)
        try:
            await self._values.write(f"{_CHANGES}{change.version}", schema, content, 0)
        except Overtaken:
            return  # a version is one change, whoever archives it

    def _record(
        self, latest: nouns.ConfigRecord, before: nouns.ConfigValue | None, order: Order
    ) -> nouns.ConfigRecord:
        version = latest.change.version + 1
        change = nouns.ConfigChange(
            version=version,
            note=order.note,
            peer=order.peer,
            key=order.key,
            target=order.target,
            before=before,
            after=order.value,
        )
        change.change_time.FromDatetime(self._clock.now())
        left = [one for one in latest.overrides if not _is_same(one, order)]
        if order.value is not None:
            left.append(
                nouns.ConfigOverride(
                    key=order.key, target=order.target, value=order.value, version=version
                )
            )
        left.sort(key=lambda one: (one.key, whose(one.target)))
        return nouns.ConfigRecord(overrides=left, change=change)


def record_of(stored: Stored) -> nouns.ConfigRecord:
    """An empty one, of version 0, where nobody has set anything yet."""
    return nouns.ConfigRecord.FromString(stored.content or b"")


def _is_same(one: nouns.ConfigOverride, order: Order) -> bool:
    return one.key == order.key and whose(one.target) == whose(order.target)


def _found(record: nouns.ConfigRecord, order: Order) -> nouns.ConfigValue | None:
    return next((one.value for one in record.overrides if _is_same(one, order)), None)
