"""JSON values and their text. What RFC 8259 leaves to taste is refused, for every tool alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Never, TypeAlias

from services.utility.toolbox.limits import Limits, refuse_above
from services.utility.toolbox.offload import checkpoint
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

Value: TypeAlias = "dict[str, Value] | list[Value] | str | int | float | bool | None"

INTEGER_DIGITS_MAX = 1_000


class Budget:
    """How many steps a call may still take; the work of hostile input ends when it is spent."""

    def __init__(self, steps_max: int) -> None:
        self._steps_max = self._left = steps_max

    def spend(self, steps: int = 1) -> None:
        """Takes steps off the budget, and gives up work that nobody waits for."""
        checkpoint()
        self._left -= steps
        if self._left < 0:
            raise CallerError(
                errors.ERROR_REASON_TOO_LARGE,
                "the work exceeds the limit",
                steps_max=self._steps_max,
            )


class _Malformed(ValueError):
    """Breaks a rule that `json` does not know."""


def parse(text: str, limits: Limits, *, field: str) -> Value:
    """Reads one document, or raises DOCUMENT_INVALID or TOO_LARGE for `field`."""
    refuse_above(limits.document_bytes_max, len(text.encode()), field)
    try:
        value: Value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_float,
            parse_int=_integer,
        )
        depth = depth_of(value)
    except RecursionError as deep:
        raise _too_deep(limits, field) from deep
    except ValueError as malformed:
        raise _refusal(malformed, field) from malformed
    if depth > limits.document_depth_max:
        raise _too_deep(limits, field)
    return value


def dump(value: Value) -> str:
    """Writes a value without spaces; members keep their order."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def depth_of(value: Value) -> int:
    """How deep objects and arrays nest; 0 for a scalar. Refuses text that has no UTF-8 form."""
    depth, level = 0, [value]
    while level:
        below: list[Value] = []
        for item in level:
            match item:
                case dict():
                    below += _checked(item)
                case list():
                    below += item
                case str():
                    item.encode()
        if any(isinstance(item, dict | list) for item in level):
            depth += 1
        level = below
    return depth


def node_count(value: Value) -> int:
    """Values inside a value, itself included."""
    count, level = 0, [value]
    while level:
        count += len(level)
        level = [child for item in level for child in children(item)]
    return count


def children(value: Value) -> Iterator[Value]:
    """The values right below a value."""
    match value:
        case dict():
            yield from value.values()
        case list():
            yield from value


def equal(left: Value, right: Value) -> bool:
    """Equality of JSON: numbers compare by value, and true is not 1, as it is in Python."""
    match left, right:
        case dict(), dict():
            return left.keys() == right.keys() and all(equal(left[k], right[k]) for k in left)
        case list(), list():
            return len(left) == len(right) and all(map(equal, left, right))
        case (bool(), _) | (_, bool()):
            return left is right
    return left == right


def _checked(item: dict[str, Value]) -> Iterator[Value]:
    for key in item:
        key.encode()
    return iter(item.values())


def _object(members: list[tuple[str, Value]]) -> dict[str, Value]:
    made = dict(members)
    if len(made) < len(members):
        raise _Malformed("an object names a member twice")
    return made


def _refuse_constant(name: str) -> Never:
    raise _Malformed(f"{name} is not JSON")


def _float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise _Malformed("a number is too large for a double")
    return number


def _integer(digits: str) -> int:
    if len(digits) > INTEGER_DIGITS_MAX:
        raise _Malformed("an integer has too many digits")
    return int(digits)


def _refusal(malformed: ValueError, field: str) -> CallerError:
    """Where and what, but never the text itself."""
    match malformed:
        case json.JSONDecodeError():
            detail = {"explanation": malformed.msg, "position": malformed.pos}
        case UnicodeEncodeError():
            detail = {"explanation": "a string holds half a surrogate pair"}
        case _:
            detail = {"explanation": str(malformed)}
    return CallerError(
        errors.ERROR_REASON_DOCUMENT_INVALID,
        "the text is not an acceptable JSON document",
        field=field,
        **detail,
    )


def _too_deep(limits: Limits, field: str) -> CallerError:
    return CallerError(
        errors.ERROR_REASON_TOO_LARGE,
        "the document is nested too deeply",
        field=field,
        depth_max=limits.document_depth_max,
    )
