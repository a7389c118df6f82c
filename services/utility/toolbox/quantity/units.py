"""Units of measure. Expressions are read here, not by pint: its grammar takes numbers and powers of
numbers, so that a short text can ask for a very long calculation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from operator import add
from typing import Any, Final

import pint
from rapidfuzz import fuzz, process

from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

_EXPONENT_MAX: Final = 20
_DEPTH_MAX: Final = 8
_SUGGESTIONS_MAX: Final = 3
_SUGGESTION_SCORE_MIN: Final = 70
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<name>[^\W\d]\w*|[°%Å]\w*)|(?P<power>\*\*|\^)\s*(?P<exponent>[+-]?\d{1,2})"
    r"|(?P<sign>[*/()·]))\s*"
)

Powers = dict[str, int]


@dataclass(frozen=True, slots=True)
class NamedUnit:
    """A unit without prefix, and the symbol people write it with."""

    name: str
    symbol: str


@dataclass(frozen=True, slots=True)
class Converted:
    """A quantity after conversion, and the dimension that it shares with its source."""

    value: float
    unit: str
    dimension: str


class Units:
    """The units that pint knows. Its registry caches on use, so one event loop owns an instance."""

    def __init__(self) -> None:
        # pint remembers each expression for ever, about 3 KB of it: whoever owns this counts.
        self.expressions_read = 0
        # Exact fractions: 20 degC is 68 degF, not 67.99999999999993.
        self._registry: pint.UnitRegistry[Fraction] = pint.UnitRegistry(
            on_redefinition="raise", non_int_type=Fraction
        )

    def convert(self, value: float, source: str, target: str) -> Converted:
        """Converts; scales with an offset, such as degC, stand alone and are no factors."""
        left = self.unit(source, field="quantity.unit")
        powers = self._powers(target, field="target_unit")
        right = self._made_of(powers)
        if left.dimensionality != right.dimensionality:
            raise CallerError(
                errors.ERROR_REASON_UNIT_INCOMPATIBLE,
                "the units measure different things",
                field="target_unit",
                dimension=_spelled(left.dimensionality),
                target_dimension=_spelled(right.dimensionality),
            )
        try:
            converted = float(self._registry.Quantity(Fraction(value), left).to(right).magnitude)
        except (pint.PintError, ArithmeticError, ValueError) as refused:
            raise CallerError(
                errors.ERROR_REASON_UNIT_INCOMPATIBLE,
                "the quantity has no value in the target unit",
                field="target_unit",
                dimension=_spelled(left.dimensionality),
            ) from refused
        return Converted(converted, _spelled(powers), _spelled(right.dimensionality))

    def unit(self, expression: str, *, field: str) -> pint.Unit:
        """Reads a product of units, or raises UNIT_UNKNOWN."""
        return self._made_of(self._powers(expression, field=field))

    def compatible(self, expression: str, *, field: str) -> tuple[list[NamedUnit], str]:
        """The units of the expression's dimension by name, and the dimension."""
        dimension = self.unit(expression, field=field).dimensionality
        names = sorted({str(unit) for unit in self._registry.get_compatible_units(dimension)})
        units = [NamedUnit(name, str(self._registry.get_symbol(name))) for name in names]
        return units, _spelled(dimension)

    def _made_of(self, powers: Powers) -> pint.Unit:
        return self._registry.Unit(pint.util.UnitsContainer(powers))

    def _powers(self, expression: str, *, field: str) -> Powers:
        """Names in full and their powers. `dimensionless` is a factor of one, and has no name."""
        self.expressions_read += 1
        total: Powers = {}
        for spelling, power in _Expression(expression, field).powers().items():
            name = self._known_name(spelling, field)
            if name:
                total[name] = total.get(name, 0) + power
        return {name: power for name, power in total.items() if power}

    def _known_name(self, name: str, field: str) -> str:
        try:
            return str(self._registry.get_name(name))
        except (pint.UndefinedUnitError, AttributeError) as unknown:
            raise CallerError(
                errors.ERROR_REASON_UNIT_UNKNOWN,
                "there is no such unit",
                field=field,
                unit=name,
                suggestions=", ".join(self._suggestions(name)),
            ) from unknown

    def _suggestions(self, name: str) -> Iterator[str]:
        near = process.extract(
            name,
            self._names,
            scorer=fuzz.ratio,
            limit=_SUGGESTIONS_MAX,
            score_cutoff=_SUGGESTION_SCORE_MIN,
        )
        return (match[0] for match in near)

    @cached_property
    def _names(self) -> list[str]:
        return sorted(name for name in dir(self._registry) if name.isidentifier())


def _spelled(powers: Mapping[str, Any]) -> str:
    """A product as people write it: `[mass] * [length] / [time] ** 2`. Exponents are integers."""
    parts = sorted(powers.items(), key=lambda part: (part[1] < 0, part[0]))
    if not parts:
        return "dimensionless"
    factors = [name + (f" ** {abs(power)}" if abs(power) != 1 else "") for name, power in parts]
    joints = [" / " if power < 0 else " * " for _, power in parts]
    first = "1 / " if joints[0] == " / " else ""
    return first + factors[0] + "".join(map(add, joints[1:], factors[1:]))


class _Expression:
    """Reads `kg*m^2/s^2` into names and powers: factors joined by * · / or a space, in brackets."""

    def __init__(self, source: str, field: str) -> None:
        self._source, self._field = source, field
        self._position = 0
        self._depth = 0

    def powers(self) -> Powers:
        powers = self._product()
        if self._position != len(self._source):
            raise self._refusal()
        return powers

    def _product(self) -> Powers:
        powers = dict(self._factor())
        while token := self._peek():
            sign = token["sign"]
            if sign == ")" or token["power"]:
                break
            if sign in ("*", "·", "/"):
                self._position = token.end()
            direction = -1 if sign == "/" else 1
            for name, power in self._factor().items():
                powers[name] = powers.get(name, 0) + direction * power
        return powers

    def _factor(self) -> Powers:
        token = self._peek()
        if token is None or not (token["name"] or token["sign"] == "("):
            raise self._refusal()
        self._position = token.end()
        powers = {token["name"]: 1} if token["name"] else self._bracketed()
        return self._raised(powers)

    def _bracketed(self) -> Powers:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise self._refusal()
        powers = self._product()
        token = self._peek()
        if token is None or token["sign"] != ")":
            raise self._refusal()
        self._position = token.end()
        self._depth -= 1
        return powers

    def _raised(self, powers: Powers) -> Powers:
        token = self._peek()
        if token is None or not token["power"]:
            return powers
        self._position = token.end()
        exponent = int(token["exponent"])
        raised = {name: power * exponent for name, power in powers.items()}
        if any(abs(power) > _EXPONENT_MAX for power in raised.values()):
            raise self._refusal()
        return raised

    def _peek(self) -> re.Match[str] | None:
        return _TOKEN.match(self._source, self._position)

    def _refusal(self) -> CallerError:
        return CallerError(
            errors.ERROR_REASON_UNIT_UNKNOWN,
            "the text is not a product of units",
            field=self._field,
            position=self._position,
        )
