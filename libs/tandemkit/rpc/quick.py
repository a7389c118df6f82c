"""Says of most good messages, in a tenth of the engine's time, that they break no rule.

A check made here may be unsure and never wrong: only the engine refuses. docs/adr/0009 has the
figures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from buf.validate import validate_pb2 as rules

Sure = Callable[[Any], bool]
_LENGTHS = {"min_len", "max_len"}
_BOUNDS = {"gte", "lte"}
_NUMBERS = {"int32", "int64", "uint32", "uint64", "sint32", "sint64"}
# Only these rules are understood; a message type with any other, anywhere below it, has no quick
# check.
_UNDERSTOOD = {
    "string": _LENGTHS,
    "bytes": _LENGTHS,
    "enum": {"defined_only", "not_in"},
    **dict.fromkeys(_NUMBERS, _BOUNDS),
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
    choices: list[Any] = [oneof.GetOptions() for oneof in kind.oneofs]
    if kind.full_name in above or said.HasExtension(rules.message):
        raise _NotUnderstood
    if any(choice.HasExtension(rules.oneof) for choice in choices):
        raise _NotUnderstood
    return [check for field in kind.fields for check in _field(field, (*above, kind.full_name))]


def _field(field: FieldDescriptor, above: tuple[str, ...]) -> list[Sure]:
    said: Any = field.GetOptions()
    rule = said.Extensions[rules.field]
    names = [one.name for one, _ in rule.ListFields()]
    below = [] if field.message_type is None else _checks(field.message_type, above)
    if not names and not below:
        return []
    if field.is_repeated or len(names) > 1 or (names and below):
        raise _NotUnderstood
    return [_scalar(field, names[0], rule) if names else _within(field.name, _all(below))]


def _within(name: str, check: Sure) -> Sure:
    return lambda message: not message.HasField(name) or check(getattr(message, name))


def _scalar(field: FieldDescriptor, kind: str, rule: Any) -> Sure:
    if kind not in _UNDERSTOOD:
        raise _NotUnderstood
    name = field.name
    said = {one.name: value for one, value in getattr(rule, kind).ListFields()}
    if not said.keys() <= _UNDERSTOOD[kind]:
        raise _NotUnderstood
    if kind == "enum":
        refused = frozenset(said.get("not_in", ()))
        allowed = frozenset(field.enum_type.values_by_number) - refused
        if not said.get("defined_only"):
            return lambda message: getattr(message, name) not in refused
        return lambda message: getattr(message, name) in allowed
    if kind in _NUMBERS:
        low, high = said.get("gte", -(2**63)), said.get("lte", 2**64)
        if low > high:
            raise _NotUnderstood  # then the engine means "outside of the two"
        return lambda message: low <= getattr(message, name) <= high
    low, high = said.get("min_len", 0), said.get("max_len", 2**64)
    return lambda message: low <= len(getattr(message, name)) <= high


def _all(checks: list[Sure]) -> Sure:
    if len(checks) == 1:
        return checks[0]
    return lambda message: all(check(message) for check in checks)
