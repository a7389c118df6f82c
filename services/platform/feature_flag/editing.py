"""Flags as they are written: what makes one contradict itself, and how a change is made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import TypeAlias

from tandem.platform.v1 import config_value_pb2 as config
from tandem.platform.v1 import errors_pb2 as errors
from tandem.platform.v1 import feature_flag_pb2 as nouns
from tandemkit.core.errors import CallerError
from tandemkit.hosting.chronicle import Chronicle, Shape, version_of
from tandemkit.hosting.flag_resolving import ALL, compiled, field_of
from tandemkit.hosting.values import Overtaken

SHAPE = Shape("flags", nouns.FlagRecord, nouns.FlagChange)
Records: TypeAlias = Chronicle[nouns.FlagRecord, nouns.FlagChange]
# What a flag becomes, of what it is; None where there is none.
Edit: TypeAlias = Callable[[nouns.Flag | None], nouns.Flag | None]
_NUMBERS = (nouns.FLAG_OPERATOR_BELOW, nouns.FLAG_OPERATOR_ABOVE)


@dataclass(frozen=True, slots=True)
class Order:
    """A change that somebody asks for."""

    key: str
    note: config.ConfigNote
    peer: str
    expected_version: int | None = None


class Ledger:
    def __init__(self, records: Records, now: Callable[[], datetime]) -> None:
        self.records, self._now = records, now

    async def change(self, order: Order, edit: Edit) -> nouns.FlagRecord:
        """The record in force afterwards: a new one, unless it was so already."""

        def made(latest: nouns.FlagRecord) -> nouns.FlagRecord | None:
            before = flag_in(latest, order.key)
            after = edit(before)
            if before == after:
                return None
            if order.expected_version not in {None, version_of(latest)}:
                raise conflict(version_of(latest))
            return self._record(latest, before, after, order)

        try:
            return await self.records.edit(made)
        except Overtaken as error:
            raise conflict() from error

    def _record(
        self,
        latest: nouns.FlagRecord,
        before: nouns.Flag | None,
        after: nouns.Flag | None,
        order: Order,
    ) -> nouns.FlagRecord:
        change = nouns.FlagChange(
            version=version_of(latest) + 1,
            note=order.note,
            peer=order.peer,
            key=order.key,
            before=before,
            after=after,
        )
        change.change_time.FromDatetime(self._now())
        flags = [one for one in latest.flags if one.key != order.key]
        flags += [after] if after is not None else []
        flags.sort(key=lambda one: one.key)
        return nouns.FlagRecord(flags=flags, change=change)


def flag_in(record: nouns.FlagRecord, key: str) -> nouns.Flag | None:
    return next((one for one in record.flags if one.key == key), None)


def conflict(latest_version: int | None = None) -> CallerError:
    known = {} if latest_version is None else {"latest_version": str(latest_version)}
    message = "the flags have another version"
    return CallerError(errors.ERROR_REASON_FLAG_VERSION_CONFLICT, message, **known)


def unknown(key: str, keys: Iterable[str]) -> CallerError:
    near = get_close_matches(key, sorted(keys), 3, 0.6)
    known = {"near": ", ".join(near)} if near else {}
    reason, message = errors.ERROR_REASON_FLAG_NOT_FOUND, "there is no flag of that key"
    return CallerError(reason, message, field="key", key=key, **known)


def put(flag: nouns.Flag) -> Edit:
    """Makes it so. Raises CallerError where it contradicts itself, or what callers rely on."""
    check(flag)

    def edit(before: nouns.Flag | None) -> nouns.Flag:
        if before is not None and before.kind != flag.kind:
            reason = errors.ERROR_REASON_FLAG_KIND_FIXED
            message = "a flag keeps its kind: make another one under another key"
            raise CallerError(reason, message, field="flag.kind", kind=field_of(before.kind))
        return flag

    return edit


def switch(key: str, *, enabled: bool) -> Edit:
    def edit(before: nouns.Flag | None) -> nouns.Flag:
        if before is None:
            raise unknown(key, ())
        after = nouns.Flag()
        after.CopyFrom(before)
        after.enabled = enabled
        return after

    return edit


def undo(change: nouns.FlagChange, *, force: bool) -> Edit:
    """What it was before the change, unless somebody changed it since."""
    earlier = change.before if change.HasField("before") else None
    later = change.after if change.HasField("after") else None

    def edit(now: nouns.Flag | None) -> nouns.Flag | None:
        if not force and now not in (later, earlier):
            raise conflict()
        return earlier

    return edit


def check(flag: nouns.Flag) -> None:
    """Raises CallerError with the first thing that is wrong."""
    for field, message in _problems(flag):
        raise CallerError(errors.ERROR_REASON_FLAG_REFUSED, message, field=f"flag.{field}")


def _problems(flag: nouns.Flag) -> Iterator[tuple[str, str]]:
    variants = [one.name for one in flag.variants]
    for name in _twice(variants):
        yield "variants", f"two variants are called {name}"
    for number, one in enumerate(flag.variants):
        if one.value.WhichOneof("value") != field_of(flag.kind):
            wanted = field_of(flag.kind)
            yield f"variants[{number}].value", f"the flag's values are of kind {wanted}"
    if flag.default_variant not in variants:
        yield "default_variant", "the flag has no variant of that name"
    if flag.off_variant and flag.off_variant not in variants:
        yield "off_variant", "the flag has no variant of that name"
    for name in _twice(one.name for one in flag.rules):
        yield "rules", f"two rules are called {name}"
    for number, rule in enumerate(flag.rules):
        for field, message in _problems_of(rule, variants):
            yield f"rules[{number}].{field}", message


def _problems_of(rule: nouns.FlagRule, variants: list[str]) -> Iterator[tuple[str, str]]:
    for number, condition in enumerate(rule.conditions):
        message = _problem_of(condition)
        if message:
            yield f"conditions[{number}].operands", message
    if rule.WhichOneof("serve") == "variant":
        if rule.variant not in variants:
            yield "variant", "the flag has no variant of that name"
        return
    if any(share.variant not in variants for share in rule.rollout.shares):
        yield "rollout.shares", "a share is of a variant that the flag has not"
    if sum(share.millipercent for share in rule.rollout.shares) > ALL:
        yield "rollout.shares", f"the shares are more than all: {ALL} thousandths of a percent"


def _problem_of(condition: nouns.FlagCondition) -> str:
    operands = condition.operands
    if condition.operator == nouns.FLAG_OPERATOR_PRESENT:
        return "being present takes no operand" if operands else ""
    if not operands:
        return "there is nothing to compare with"
    if condition.operator in _NUMBERS:
        return "" if len(operands) == 1 and _is_number(operands[0]) else "one number is compared"
    if condition.operator == nouns.FLAG_OPERATOR_MATCHES:
        return next(filter(None, map(_refused, operands)), "")
    return ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _refused(pattern: str) -> str:
    try:
        compiled(pattern)
    except ValueError as error:
        return f"no regular expression of RE2: {error}"
    return ""


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
