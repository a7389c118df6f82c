"""Sums, worked out exactly: `2 * (3 + 4)`, `1/3 + 1/6`, `15 % of 80`."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from operator import add, mul, sub, truediv
from typing import Final

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d+(?:[_,]\d{3})*(?:\.\d+)?|\.\d+)|(?P<sign>\*\*|[-+*/^()%\xd7\xf7\xb7\u2212]))"
)
_SAME: Final = {"\xd7": "*", "\xb7": "*", "\xf7": "/", "\u2212": "-", "**": "^"}
_PERCENT_OF: Final = re.compile(r"(?i)%\s*of\b|\bpercent\s+of\b")
_WORDS: Final = (
    (re.compile(r"(?i)\bpercent\b"), "%"),
    (re.compile(r"(?i)\b(?:times|multiplied by)\b"), "*"),
    (re.compile(r"(?i)\b(?:divided by|over)\b"), "/"),
    (re.compile(r"(?i)\bplus\b"), "+"),
    (re.compile(r"(?i)\bminus\b"), "-"),
    (re.compile(r"(?i)\bto the power of\b"), "^"),
)
_POWER_MAX: Final = 1000
_BITS_MAX: Final = 8000
_DEPTH_MAX: Final = 50
_DIGITS: Final = 12
_Step = Callable[[Fraction, Fraction], Fraction]
_SUMS: Final[dict[str, _Step]] = {"+": add, "-": sub}
_PRODUCTS: Final[dict[str, _Step]] = {"*": mul, "/": truediv}


class NoSum(Exception):
    """The text is no sum; the message says why where it looks like one."""


def worked_out(text: str) -> Fraction:
    """Raises NoSum. Bounded, whatever the text asks for."""
    for word, sign in _WORDS if not _PERCENT_OF.search(text) else _WORDS[1:]:
        text = word.sub(sign, text)
    tokens = _tokens(_PERCENT_OF.sub("/100 *", text))
    if len(tokens) < len("1+1"):
        raise NoSum
    reader = _Reader(tokens)
    value = reader.sum()
    if reader.left:
        raise NoSum
    return value


def spelled(value: Fraction) -> str:
    """As people write it; what has no end is cut, and its fraction stands beside it."""
    if value.denominator == 1:
        return f"{value.numerator}"
    scale = 10**_DIGITS
    rounded = round(value * scale)
    whole, rest = divmod(abs(rounded), scale)
    sign = "-" if rounded < 0 else ""
    decimal = f"{sign}{whole}.{rest:0{_DIGITS}}".rstrip("0").rstrip(".")
    if Fraction(rounded, scale) == value:
        return decimal
    return f"{decimal} (about; exactly {value.numerator}/{value.denominator})"


def _tokens(text: str) -> list[str]:
    found, at, text = [], 0, text.strip()
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise NoSum
        said = token["number"] or token["sign"]
        found.append(_SAME.get(said, said.replace(",", "").replace("_", "")))
        at = token.end()
    return found


class _Reader:
    """From left to right, each step as strong as it binds."""

    def __init__(self, tokens: list[str]) -> None:
        self.left = tokens[::-1]
        self._depth = 0

    def sum(self) -> Fraction:
        return self._deeper(lambda: self._row(_SUMS, self._product))

    def _deeper(self, part: Callable[[], Fraction]) -> Fraction:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise NoSum("it is nested too deep")
        value = part()
        self._depth -= 1
        return value

    def _product(self) -> Fraction:
        return self._row(_PRODUCTS, self._signed)

    def _row(self, steps: dict[str, _Step], part: Callable[[], Fraction]) -> Fraction:
        value = part()
        while self.left and self.left[-1] in steps:
            step = steps[self.left.pop()]
            other = part()
            if step is truediv and other == 0:
                raise NoSum("nothing can be divided by 0")
            value = _bounded(step(value, other))
        return value

    def _signed(self) -> Fraction:
        is_negative = False
        while self.left and self.left[-1] in {"-", "+"}:
            is_negative ^= self.left.pop() == "-"
        value = self._power()
        return -value if is_negative else value

    def _power(self) -> Fraction:
        value = self._atom()
        while self.left and self.left[-1] == "%":
            self.left.pop()
            value /= 100
        if self.left and self.left[-1] == "^":
            self.left.pop()
            value = _raised(value, self._deeper(self._signed))
        return value

    def _atom(self) -> Fraction:
        if not self.left:
            raise NoSum
        first = self.left.pop()
        if first == "(":
            value = self.sum()
            if not self.left or self.left.pop() != ")":
                raise NoSum("a bracket is open")
            return value
        if not first[0].isdigit() and first[0] != ".":
            raise NoSum
        return _bounded(Fraction(first))


def _raised(value: Fraction, power: Fraction) -> Fraction:
    if power.denominator != 1 or abs(power) > _POWER_MAX:
        raise NoSum(f"powers are whole numbers up to {_POWER_MAX}")
    if value == 0 and power < 0:
        raise NoSum("nothing can be divided by 0")
    if abs(power) * _bits(value) > _BITS_MAX:
        raise NoSum("the result has too many digits")
    return Fraction(value ** int(power))


def _bounded(value: Fraction) -> Fraction:
    if _bits(value) > _BITS_MAX:
        raise NoSum("the result has too many digits")
    return value


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())
