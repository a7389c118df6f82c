"""The canonical form of JSON (RFC 8785)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal

from services.utility.toolbox.document.values import Value
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

# Where ECMAScript turns from plain digits to an exponent (Number::toString).
_PLAIN_DIGITS_MAX = 21
_LEADING_ZEROS_MAX = 6


def canonicalize(value: Value) -> str:
    """Writes the one form; raises DOCUMENT_INVALID for an integer that no double stands for."""
    return "".join(_pieces(value))


def _pieces(value: Value) -> Iterator[str]:
    match value:
        case dict():
            # RFC 8785 sorts by UTF-16 code units, which is not the order of code points.
            keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
            yield "{"
            for index, key in enumerate(keys):
                yield f"{',' if index else ''}{json.dumps(key, ensure_ascii=False)}:"
                yield from _pieces(value[key])
            yield "}"
        case list():
            yield "["
            for index, item in enumerate(value):
                yield "," if index else ""
                yield from _pieces(item)
            yield "]"
        case bool() | None | str():
            yield json.dumps(value, ensure_ascii=False)
        case int() | float():
            yield _number_text(value)


def number(value: float) -> str:
    """A double as ECMAScript writes it. Python finds the same shortest digits, and lays them out
    in another way.
    """
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits))
    return ("-" if sign else "") + _laid_out(text, len(text) + exponent)


def _laid_out(digits: str, point: int) -> str:
    """Digits with the decimal point after the first `point` of them."""
    if len(digits) <= point <= _PLAIN_DIGITS_MAX:
        return digits.ljust(point, "0")
    if 0 < point <= _PLAIN_DIGITS_MAX:
        return f"{digits[:point]}.{digits[point:]}"
    if -_LEADING_ZEROS_MAX < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"


def _number_text(value: float) -> str:
    """An integer must be a double, or be written as the shortest form of one: 2**53 + 1 is neither,
    and rounding it silently would sign another document.
    """
    try:
        double = float(value)
        text = number(double)
    except OverflowError:
        double, text = 0.0, ""
    if double != value and text != str(value):
        raise CallerError(
            errors.ERROR_REASON_DOCUMENT_INVALID,
            "the document holds an integer that has no canonical form",
            field="document",
            explanation="no double stands for it",
        )
    return text
