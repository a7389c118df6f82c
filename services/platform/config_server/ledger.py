"""What is set at run time: orders, as they become records and changes of the registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from services.platform.config_server.resolution import whose
from tandem.platform.v1 import config_value_pb2 as nouns
from tandem.platform.v1 import errors_pb2 as errors
from tandemkit.core.clock import Clock
from tandemkit.core.errors import CallerError
from tandemkit.hosting.chronicle import Chronicle, Shape, version_of
from tandemkit.hosting.values import Overtaken

SHAPE = Shape("config", nouns.ConfigRecord, nouns.ConfigChange)
Records: TypeAlias = Chronicle[nouns.ConfigRecord, nouns.ConfigChange]


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
    def __init__(self, records: Records, clock: Clock) -> None:
        self.records, self._clock = records, clock

    async def change(self, order: Order) -> nouns.ConfigRecord:
        """The record in force afterwards: a new one, unless it was so already."""

        def made(latest: nouns.ConfigRecord) -> nouns.ConfigRecord | None:
            before = _found(latest, order)
            if before == order.value:
                return None
            if order.expected_version not in {None, version_of(latest)}:
                raise _conflict(version_of(latest))
            return self._record(latest, before, order)

        try:
            return await self.records.edit(made)
        except Overtaken as error:
            raise _conflict() from error

    def _record(
        self, latest: nouns.ConfigRecord, before: nouns.ConfigValue | None, order: Order
    ) -> nouns.ConfigRecord:
        version = version_of(latest) + 1
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


def _conflict(latest_version: int | None = None) -> CallerError:
    known = {} if latest_version is None else {"latest_version": str(latest_version)}
    message = "the configuration has another version"
    return CallerError(errors.ERROR_REASON_CONFIG_VERSION_CONFLICT, message, **known)


def _is_same(one: nouns.ConfigOverride, order: Order) -> bool:
    return one.key == order.key and whose(one.target) == whose(order.target)


def _found(record: nouns.ConfigRecord, order: Order) -> nouns.ConfigValue | None:
    return next((one.value for one in record.overrides if _is_same(one, order)), None)
