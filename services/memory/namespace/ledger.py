"""The rules of namespaces, changed in the registry where every process follows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from tandem.memory.v1 import errors_pb2 as errors
from tandem.memory.v1 import namespace_pb2 as nouns
from tandemkit.core.errors import CallerError
from tandemkit.hosting.access_copy import STREAM
from tandemkit.hosting.chronicle import Chronicle, Shape, version_of
from tandemkit.hosting.values import Overtaken

SHAPE = Shape(STREAM, nouns.AccessRecord, nouns.AccessChange)
PREFIX = "namespaces/"
Records: TypeAlias = Chronicle[nouns.AccessRecord, nouns.AccessChange]


@dataclass(frozen=True, slots=True)
class Order:
    """A change of what is called `about`, and who asks for it."""

    about: str
    caller: str
    expected_version: int | None = None


class Ledger:
    def __init__(self, records: Records, now: Callable[[], datetime]) -> None:
        self.records, self._now = records, now

    async def current(self) -> nouns.AccessRecord:
        """The rules in force."""
        return await self.records.edit(lambda _latest: None)

    async def change(self, order: Order, edit: Callable[[nouns.AccessRecord], None]) -> int:
        """Version of the rules afterwards: a new one, unless they were so already."""

        def made(latest: nouns.AccessRecord) -> nouns.AccessRecord | None:
            if order.expected_version not in {None, version_of(latest)}:
                raise _conflict(version_of(latest))
            record = nouns.AccessRecord()
            record.CopyFrom(latest)
            edit(record)
            if record == latest:
                return None
            change = nouns.AccessChange(
                version=version_of(latest) + 1,
                caller=order.caller,
                about=order.about,
                before=named_in(latest, order.about),
                after=named_in(record, order.about),
            )
            change.change_time.FromDatetime(self._now())
            record.change.CopyFrom(change)
            return record

        try:
            return version_of(await self.records.edit(made))
        except Overtaken as error:
            raise _conflict() from error

    async def put(self, order: Order, namespace: nouns.Namespace) -> int:
        def edit(record: nouns.AccessRecord) -> None:
            _take(record, namespace.name)
            record.namespaces.append(namespace)
            record.namespaces.sort(key=lambda one: one.name)

        return await self.change(order, edit)

    async def remove(self, order: Order) -> int:
        """Harmless where there is none."""
        return await self.change(order, lambda record: _take(record, order.about))

    async def revoke(self, order: Order) -> int:
        """Of the caller that the order is about; its keys of now too."""

        def edit(record: nouns.AccessRecord) -> None:
            kept = [one for one in record.revoked if one.caller != order.about]
            entry = nouns.RevokedCaller(caller=order.about)
            # Times in keys are whole seconds: one of this second is refused as well.
            entry.before_time.seconds = int(self._now().timestamp()) + 1
            kept = sorted([*kept, entry], key=lambda one: one.caller)
            del record.revoked[:]
            record.revoked.extend(kept)

        return await self.change(order, edit)

    async def unrule(self, order: Order, rules: list[nouns.AccessRule]) -> int:
        """Of namespaces without rules of their own."""

        def edit(record: nouns.AccessRecord) -> None:
            del record.unruled[:]
            record.unruled.extend(rules)

        return await self.change(order, edit)


def named_in(record: nouns.AccessRecord, name: str) -> nouns.Namespace | None:
    return next((one for one in record.namespaces if one.name == name), None)


def _take(record: nouns.AccessRecord, name: str) -> None:
    kept = [one for one in record.namespaces if one.name != name]
    del record.namespaces[:]
    record.namespaces.extend(kept)


def _conflict(latest_version: int | None = None) -> CallerError:
    known = {} if latest_version is None else {"latest_version": str(latest_version)}
    message = "the rules have another version, or others change them"
    return CallerError(errors.ERROR_REASON_RULES_CONFLICT, message, **known)
