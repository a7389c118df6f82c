"""Records of the policy in the registry, by their keys."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from tandem.control.v1 import registration_pb2 as nouns
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import traffic_policy_pb2 as pb
from tandemkit.core.errors import Bug
from tandemkit.mesh.kept_policy import POLICY_KEY, POLICY_SCHEMA, Unreadable, record_in

_CHANGES = "policy/changes/"


class Overtaken(Exception):
    """Somebody else wrote in between."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A value, and its version in the registry; None and 0 where there is none."""

    value: registry.StoredValue | None
    version: int


@dataclass(frozen=True, slots=True)
class Latest:
    """The record that is in force, and its version in the registry, which is another number than
    the policy's own. Both are 0 before the first change.
    """

    record: pb.PolicyRecord
    stored_version: int

    @property
    def version(self) -> int:
        return self.record.change.version


class Registry(Protocol):
    """What is asked of the registry. All raise TransientError where it does not answer."""

    async def read(self, key: str) -> Stored:
        """A value as last written."""

    async def write(self, key: str, value: registry.StoredValue, expected: int) -> None:
        """Over that version only, else raises Overtaken; CallerError where it is too large."""

    async def remove(self, key: str) -> None:
        """Harmless where there is none."""

    def watch(self, key: str) -> AsyncGenerator[Stored, None]:
        """The value as it is, and whenever it is another one."""

    async def hosts(self) -> list[nouns.Host]:
        """All that are registered now."""


class Shelf:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def latest(self) -> Latest:
        return _parsed(await self._registry.read(POLICY_KEY))

    async def earlier(self, version: int) -> pb.PolicyRecord | None:
        """One that was archived, and is still kept."""
        found = await self._registry.read(f"{_CHANGES}{version}")
        return _parsed(found).record if found.value is not None else None

    async def replace(self, latest: Latest, record: pb.PolicyRecord) -> None:
        """Makes it the one in force, in place of `latest`. Raises Overtaken."""
        await self._registry.write(POLICY_KEY, _value(record), latest.stored_version)

    async def archive(self, record: pb.PolicyRecord) -> None:
        """Keeps it beside the one in force; harmless where it is kept already."""
        try:
            key = f"{_CHANGES}{record.change.version}"
            await self._registry.write(key, _value(record), 0)
        except Overtaken:
            return  # a version is one record, whoever archives it

    async def discard(self, version: int) -> None:
        """Forgets an archived one; harmless where it is forgotten."""
        await self._registry.remove(f"{_CHANGES}{version}")

    async def watch(self) -> AsyncGenerator[Latest, None]:
        """The record in force, now and whenever it is another one."""
        async with aclosing(self._registry.watch(POLICY_KEY)) as told:
            async for found in told:
                yield _parsed(found)

    async def hosts(self) -> list[nouns.Host]:
        return await self._registry.hosts()


def _value(record: pb.PolicyRecord) -> registry.StoredValue:
    content = record.SerializeToString(deterministic=True)
    return registry.StoredValue(schema=POLICY_SCHEMA, content=content)


def _parsed(found: Stored) -> Latest:
    if found.value is None:
        return Latest(pb.PolicyRecord(), 0)
    try:
        return Latest(record_in(found.value), found.version)
    except Unreadable as error:
        raise Bug("what is kept is no policy", schema=found.value.schema) from error
