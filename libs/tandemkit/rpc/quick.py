"""Says of most good messages, at a fraction of the engine's price, that they break no rule.

A check made here may be unsure and never wrong: only the engine refuses. docs/adr/0009 has the
figures.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor

from buf.validate import validate_pb2 as rules

Sure = Callable[[Any], bool]
# Past this many items the engine is the quicker of the two.
_ITEMS_MAX = 16
_NUMBERS = frozenset({"int32", "int64", "uint32", "uint64", "sint32", "sint64"})
_FRACTIONS = frozenset({"float", "double"})
# Only these rules are understood. A message type with any other has no quick check, unless the
# other is below a part that may be missing: then what lacks the part is good.
_UNDERSTOOD = {
    "string": {"min_len", "max_len", "min_bytes", "max_bytes", "pattern"},
    "bytes": {"min_len", "max_len"},
    "enum": {"defined_only", "in", "not_in"},
    "repeated": {"min_items", "max_items", "items"},
    **{number: {"gte", "lte"} for number in _NUMBERS | _FRACTIONS},
}


class _NotUnderstood(Exception):
    """The engine has to look at every message of this type."""


def check_of(kind: Descriptor) -> Sure | None:
    """What is True of a message only where it breaks no rule; None where this type needs the
    engine.
    """
    try:
        return _all(_checks(kind, ()))
    except _NotUnderstood:
        return None


def _checks(kind: Descriptor, above: tuple[str, ...]) -> list[Sure]:
    """The checks of a type's fields, those of the messages below it included; `above` are the types
    that hold it.
    """
    said: Any = kind.GetOptions()
    if kind.full_name in above or said.HasExtension(rules.message):
        raise _NotUnderstood
    above = (*above, kind.full_name)
    chosen = [check for oneof in kind.oneofs for check in _oneof(oneof)]
    return chosen + [check for field in kind.fields for check in _field(field, above)]


def _oneof(oneof: OneofDescriptor) -> list[Sure]:
    said: Any = oneof.GetOptions()
    name = oneof.name
    if not said.Extensions[rules.oneof].required:
        return []
    return [lambda message: message.WhichOneof(name) is not None]


def _field(field: FieldDescriptor, above: tuple[str, ...]) -> list[Sure]:
    said: Any = field.GetOptions()
    rule, name = said.Extensions[rules.field], field.name
    try:
        checks = [_of_rule(field, one.name, rule) for one, value in rule.ListFields() if value]
        below = [] if field.message_type is None else _checks(field.message_type, above)
    except _NotUnderstood:
        if field.message_type is None or not field.has_presence or rule.required:
            raise
        # Of a part that is not there no rule asks anything, but for the one that it be there.
        return [lambda message: not message.HasField(name)]
    if below and field.message_type.GetOptions().map_entry:
        raise _NotUnderstood
    if below:
        check = _all(below)
        checks.append(_of_items(name, check) if field.is_repeated else _within(name, check))
    return checks


def _of_rule(field: FieldDescriptor, kind: str, rule: Any) -> Sure:
    """The check of one rule of a field. A field that is not set may have none to keep; then it is
    unsure.
    """
    name = field.name
    if kind == "required" and field.has_presence:
        return lambda message: bool(message.HasField(name))
    if kind == "required":
        return lambda message: bool(getattr(message, name))
    if kind not in _UNDERSTOOD:
        raise _NotUnderstood
    said = {one.name: value for one, value in getattr(rule, kind).ListFields()}
    if not said.keys() <= _UNDERSTOOD[kind]:
        raise _NotUnderstood
    if kind == "enum":
        return _of_enum(field, said)
    if kind in _FRACTIONS and not said.keys() >= {"gte", "lte"}:
        raise _NotUnderstood  # Without a bound there are infinities, and what is no number.
    if kind in _NUMBERS | _FRACTIONS:
        return _between(name, said.get("gte"), said.get("lte"), lambda value: value)
    if "pattern" in said or "items" in said:
        return _empty(name, said)
    unit = "items" if kind == "repeated" else "len"
    count = _between(name, said.get(f"min_{unit}"), said.get(f"max_{unit}"), len)
    if "min_bytes" not in said and "max_bytes" not in said:
        return count
    encoded = _between(name, said.get("min_bytes"), said.get("max_bytes"), _encoded_length)
    return _all([count, encoded])


def _empty(name: str, said: dict[str, Any]) -> Sure:
    """Of most fields that may be empty nothing else has to be known: they are."""
    try:
        fits = re.search(said.get("pattern", ""), "") is not None
    except re.error as error:
        raise _NotUnderstood from error
    if not fits or any(said.get(least) for least in ("min_len", "min_bytes", "min_items")):
        raise _NotUnderstood
    return lambda message: not getattr(message, name)


def _of_enum(field: FieldDescriptor, said: dict[str, Any]) -> Sure:
    name, refused = field.name, frozenset(said.get("not_in", ()))
    if "in" not in said and not said.get("defined_only"):
        return lambda message: getattr(message, name) not in refused
    defined = frozenset(field.enum_type.values_by_number)
    allowed = frozenset(said.get("in", defined)) - refused
    if said.get("defined_only"):
        allowed &= defined
    return lambda message: getattr(message, name) in allowed


def _between(name: str, low: int | None, high: int | None, size: Callable[[Any], int]) -> Sure:
    at_least = -(2**63) if low is None else low
    at_most = 2**64 if high is None else high
    if at_least > at_most:
        raise _NotUnderstood  # Then the engine means "outside of the two".
    return lambda message: at_least <= size(getattr(message, name)) <= at_most


def _encoded_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _within(name: str, check: Sure) -> Sure:
    return lambda message: not message.HasField(name) or check(getattr(message, name))


def _of_items(name: str, check: Sure) -> Sure:
    def every(message: Any) -> bool:
        items = getattr(message, name)
        return len(items) <= _ITEMS_MAX and all(map(check, items))

    return every


def _all(checks: list[Sure]) -> Sure:
    if len(checks) == 1:
        return checks[0]
    # Not `all`, whose generator takes half as long again: this runs for every request.
    return lambda message: False not in [check(message) for check in checks]
