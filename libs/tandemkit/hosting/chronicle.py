"""One record in force, in the registry, which holds the change that made it, and the changes before
it. A crash between two writes loses nothing.
"""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.errors import TransientError
from tandemkit.hosting.history import Past
from tandemkit.hosting.values import Overtaken, Values

KEPT_MAX = 1000
# Writers who do not care for the version try again; each round one of them wins.
_ATTEMPTS_MAX = 50
_PAUSE_S_MIN, _PAUSE_S_MAX = 0.1, 2.0
_LOGGER = logging.getLogger("tandemkit.hosting")
Record = TypeVar("Record", bound=Message)
Change = TypeVar("Change", bound=Message)


@dataclass(frozen=True, slots=True)
class Shape(Generic[Record, Change]):
    """`record` has a `change`, and that has a `version` and a `change_time`. `name` begins the keys
    and is the stream that changes become events of.
    """

    name: str
    record: type[Record]
    change: type[Change]


class Chronicle(Generic[Record, Change]):
    """It is `tandemkit.hosting.history.History` as well."""

    def __init__(self, values: Values, shape: Shape[Record, Change]) -> None:
        self.stream, self.kept_max = shape.name, KEPT_MAX
        self._values, self._shape = values, shape
        self._key, self._changes = f"{shape.name}/current", f"{shape.name}/changes/"

    async def edit(self, make: Callable[[Record], Record | None]) -> Record:
        """The record in force afterwards: what `make` gives for the one before, which stays where
        that is None. Raises Overtaken where others are always faster, and what `make` raises.
        """
        for _ in range(_ATTEMPTS_MAX):
            stored = await self._values.read(self._key)
            latest = self._record(stored.content)
            record = make(latest)
            if record is None:
                return latest
            try:
                await self._replace(latest, stored.version, record)
            except Overtaken:
                continue
            return record
        raise Overtaken

    async def versions(self) -> range:
        """Those of the changes that are kept, the latest first."""
        latest = version_of(self._record((await self._values.read(self._key)).content))
        return range(latest, max(0, latest - KEPT_MAX), -1)

    async def changes(self, versions: Iterable[int]) -> list[Change]:
        """Those of them that are still kept."""
        latest = self._record((await self._values.read(self._key)).content)
        found = []
        for version in versions:
            if version == version_of(latest):
                found.append(_change_of(latest))
                continue
            content = (await self._values.read(f"{self._changes}{version}")).content
            if content is not None:
                found.append(self._shape.change.FromString(content))
        return found

    async def records(self) -> AsyncGenerator[Record, None]:
        """The record in force, now and whenever it is another one; an empty one, of version 0,
        where nobody has changed anything yet.
        """
        async with aclosing(self._values.watch(self._key)) as told:
            async for stored in told:
                yield self._record(stored.content)

    async def latest(self) -> AsyncGenerator[int, None]:
        async with aclosing(self.records()) as records:
            async for record in records:
                yield version_of(record)

    async def change(self, version: int) -> Past | None:
        found = await self.changes([version])
        return _past(found[0]) if found else None

    def read(self, content: bytes) -> Past:
        return _past(self._shape.change.FromString(content))

    def _record(self, content: bytes | None) -> Record:
        return self._shape.record.FromString(content or b"")

    async def _replace(self, latest: Record, stored_version: int, record: Record) -> None:
        if version_of(latest):
            await self._archive(_change_of(latest))
        if version_of(record) > KEPT_MAX:
            await self._values.remove(f"{self._changes}{version_of(record) - KEPT_MAX}")
        schema = self._shape.record.DESCRIPTOR.full_name
        content = record.SerializeToString(deterministic=True)
        await self._values.write(self._key, schema, content, stored_version)

    async def _archive(self, change: Any) -> None:
        schema = self._shape.change.DESCRIPTOR.full_name
        content = change.SerializeToString(deterministic=True)
        try:
            await self._values.write(f"{self._changes}{change.version}", schema, content, 0)
        except Overtaken:
            return  # a version is one change, whoever archives it


def version_of(record: Any) -> int:
    """Of the change that made it."""
    return int(record.change.version)


def _change_of(record: Any) -> Any:
    return record.change


def _past(change: Any) -> Past:
    return Past(change.version, change.change_time.ToNanoseconds(), change)


class Following(Generic[Record]):
    """The record in force as it was told last, and whether there may be a later one."""

    def __init__(
        self,
        chronicle: Chronicle[Record, Any],
        clock: Clock,
        looked: Callable[[], None],
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`looked` is called whenever one of the two is another."""
        self.record: Record | None = None
        self.stale = True
        self._chronicle, self._clock, self._looked, self._draw = chronicle, clock, looked, draw

    def take(self, record: Record) -> None:
        """One that is in force, from whoever knows it first."""
        if self.record is None or version_of(record) >= version_of(self.record):
            self.record = record
            self._looked()

    async def run(self) -> None:
        """Follows the registry until cancelled."""
        failures = 0
        while True:
            try:
                async with aclosing(self._chronicle.records()) as records:
                    async for record in records:
                        failures, self.stale, self.record = 0, False, record
                        self._looked()
                cause = "the registry ended the stream"
            except TransientError as error:
                cause = str(error)
            failures += 1
            self._lost(cause)
            pause_s = min(_PAUSE_S_MAX, _PAUSE_S_MIN * 2.0 ** min(failures, 10))
            await self._clock.sleep(pause_s * (0.5 + self._draw() / 2))

    def _lost(self, cause: str) -> None:
        if not self.stale:
            self.stale = True
            name = self._chronicle.stream
            log.event(_LOGGER, logging.WARNING, "record.stale", record=name, cause=cause)
            self._looked()
