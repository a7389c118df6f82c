"""Who gets which value of a flag. The same bytes give the same answer in every process, and in
every language: docs/design/flags.md says how a place in a rollout is reckoned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import re2

from tandem.platform.v1 import feature_flag_pb2 as nouns

TARGETING_KEY = "targeting_key"
ALL = 100_000
_KINDS: Mapping[int, str] = {
    nouns.FLAG_KIND_BOOLEAN: "boolean",
    nouns.FLAG_KIND_TEXT: "text",
    nouns.FLAG_KIND_WHOLE: "whole",
    nouns.FLAG_KIND_REAL: "real",
}
_PATTERN_BYTES_MAX = 1 << 20
_Test = Callable[[str, str], bool]


def field_of(kind: int) -> str:
    """The field of FlagValue that a flag of this kind has."""
    return _KINDS[kind]


def context_of(targeting_key: str, attributes: Mapping[str, object]) -> nouns.FlagContext:
    """From what a program has at hand: texts, numbers, booleans. Raises TypeError for others."""
    context = nouns.FlagContext(targeting_key=targeting_key)
    for name, value in attributes.items():
        if isinstance(value, bool):
            context.attributes.add(name=name, boolean=value)
        elif isinstance(value, int | float):
            context.attributes.add(name=name, number=value)
        elif isinstance(value, str):
            context.attributes.add(name=name, text=value)
        else:
            raise TypeError(f"a flag's attribute is no {type(value).__name__}: {name}")
    return context


def resolved(flag: nouns.Flag, context: nouns.FlagContext) -> nouns.FlagResolution:
    """What somebody gets of a flag that does not contradict itself."""
    if not flag.enabled:
        return _resolution(flag, flag.off_variant, nouns.FLAG_REASON_DISABLED)
    known = _known(context)
    for rule in flag.rules:
        if all(_holds(one, known) for one in rule.conditions):
            if rule.WhichOneof("serve") == "variant":
                reason = nouns.FLAG_REASON_TARGETING_MATCH
                return _resolution(flag, rule.variant, reason, rule.name)
            variant = _drawn(flag.key, rule.rollout, known)
            if variant is not None:
                return _resolution(flag, variant, nouns.FLAG_REASON_SPLIT, rule.name)
    reason = nouns.FLAG_REASON_DEFAULT if flag.rules else nouns.FLAG_REASON_STATIC
    return _resolution(flag, flag.default_variant, reason)


def place(salt: str, attribute: str) -> int:
    """Of a caller among `ALL`."""
    digest = hashlib.sha256(f"{salt}/{attribute}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % ALL


def compiled(pattern: str) -> Any:
    """Raises ValueError for what RE2 does not take."""
    try:
        return _compiled(pattern)
    except re2.error as error:
        raise ValueError(str(error)) from error


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.max_mem = _PATTERN_BYTES_MAX
    options.log_errors = False
    return re2.compile(pattern, options)


def _resolution(
    flag: nouns.Flag, variant: str, reason: nouns.FlagReason.ValueType, rule: str = ""
) -> nouns.FlagResolution:
    for one in flag.variants:
        if one.name == variant:
            return nouns.FlagResolution(value=one.value, variant=variant, reason=reason, rule=rule)
    return nouns.FlagResolution(reason=reason, rule=rule)


def _known(context: nouns.FlagContext) -> dict[str, str]:
    """Attributes as texts: the last of a name holds, and the key is the context's own."""
    known = {one.name: _text(one) for one in context.attributes}
    known.pop(TARGETING_KEY, None)
    if context.targeting_key:
        known[TARGETING_KEY] = context.targeting_key
    return known


def _text(attribute: nouns.FlagAttribute) -> str:
    match attribute.WhichOneof("value"):
        case "boolean":
            return "true" if attribute.boolean else "false"
        case "number":
            number = attribute.number
            return str(int(number)) if number.is_integer() else repr(number)
        case _:
            return attribute.text


def _holds(condition: nouns.FlagCondition, known: Mapping[str, str]) -> bool:
    found = known.get(condition.attribute)
    if condition.operator == nouns.FLAG_OPERATOR_PRESENT:
        return (found is not None) is not condition.negated
    met = found is not None and _met(condition.operator, found, condition.operands)
    return met is not condition.negated


def _met(operator: int, found: str, operands: Iterable[str]) -> bool:
    if operator == nouns.FLAG_OPERATOR_ONE_OF:
        return found in operands
    return any(_TESTS[operator](found, one) for one in operands)


def _number(text: str) -> float:
    """No number compares with nothing."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


_TESTS: Mapping[int, _Test] = {
    nouns.FLAG_OPERATOR_BEGINS_WITH: str.startswith,
    nouns.FLAG_OPERATOR_ENDS_WITH: str.endswith,
    nouns.FLAG_OPERATOR_CONTAINS: lambda found, one: one in found,
    nouns.FLAG_OPERATOR_MATCHES: lambda found, one: _compiled(one).fullmatch(found) is not None,
    nouns.FLAG_OPERATOR_BELOW: lambda found, one: _number(found) < _number(one),
    nouns.FLAG_OPERATOR_ABOVE: lambda found, one: _number(found) > _number(one),
}


def _drawn(key: str, rollout: nouns.FlagRollout, known: Mapping[str, str]) -> str | None:
    """The variant of the caller's part; None for whom is in none."""
    attribute = known.get(rollout.attribute or TARGETING_KEY)
    if attribute is None:
        return None
    own, end = place(rollout.salt or key, attribute), 0
    for share in rollout.shares:
        end += share.millipercent
        if own < end:
            return share.variant
    return None
