"""Units: exact where they can be, and read by a grammar of our own."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.utility.toolbox.limits import Limits
from services.utility.toolbox.quantity.calls import EXPRESSIONS_MAX
from services.utility.toolbox.quantity.units import Units
from services.utility.toolbox.servicer import ToolboxServicer
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

UNITS = Units()
FAMILIES = (
    ("meter", "mile", "light_year", "angstrom", "km", "inch"),
    ("kelvin", "degC", "degF", "degR"),
    ("J", "kWh", "eV", "kg*m^2/s^2", "N m", "cal"),
    ("m/s", "km/h", "knot", "mile / hour", "m s^-1", "meter/(second)"),
    ("byte", "kibibyte", "bit", "megabyte"),
)
PAIRS = st.sampled_from(FAMILIES).flatmap(lambda f: st.tuples(*[st.sampled_from(f)] * 2))
VALUES = st.floats(-1e12, 1e12)


@given(VALUES, PAIRS)
def test_a_value_converted_there_and_back_is_the_same(value: float, pair: tuple[str, str]) -> None:
    """Conversion is exact; only the double in between rounds, at the size of the numbers met."""
    there = UNITS.convert(value, *pair)
    back = UNITS.convert(there.value, pair[1], pair[0])
    assert math.isclose(back.value, value, rel_tol=1e-12, abs_tol=1e-9)


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (20.0, "degC", "degF", 68.0),
        (-40.0, "degF", "degC", -40.0),
        (0.0, "kelvin", "degC", -273.15),
        (36.0, "km/h", "m/s", 10.0),
        (1.0, "mile", "km", 1.609344),
        (1.0, "inch^2", "cm**2", 6.4516),
        (1.0, "N·m", "kg m^2 / s^2", 1.0),
        (1.0, "m*meter/m", "m", 1.0),
        (3.0, "1".replace("1", "m/m"), "dimensionless", 3.0),
    ],
)
def test_known_conversions(value: float, source: str, target: str, expected: float) -> None:
    """To the last digit of a double, offsets of temperature scales included."""
    assert UNITS.convert(value, source, target).value == expected


def test_different_dimensions_are_named_both() -> None:
    """The caller learns what each unit measures."""
    with pytest.raises(CallerError) as refused:
        UNITS.convert(1.0, "m", "s")
    assert refused.value.reason == errors.ERROR_REASON_UNIT_INCOMPATIBLE
    assert refused.value.metadata == {"dimension": "[length]", "target_dimension": "[time]"}


@pytest.mark.parametrize(
    ("value", "source", "target"),
    [(1.0, "degC^2", "degF^2"), (1.0, "degC/m", "degF/m"), (1e308, "Ym", "ym")],
)
def test_what_has_no_value_is_refused(value: float, source: str, target: str) -> None:
    """A scale with an offset is no factor, and infinity is no answer."""
    with pytest.raises(CallerError) as refused:
        UNITS.convert(value, source, target)
    assert refused.value.reason == errors.ERROR_REASON_UNIT_INCOMPATIBLE


def test_an_unknown_unit_suggests_near_ones() -> None:
    """A slip of the finger gets the name that was meant."""
    with pytest.raises(CallerError) as refused:
        UNITS.convert(1.0, "kilometr", "m")
    assert refused.value.reason == errors.ERROR_REASON_UNIT_UNKNOWN
    assert refused.value.field == "quantity.unit"
    assert "kilometer" in refused.value.metadata["suggestions"].split(", ")


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9**9",
        "2 m",
        "m +s",
        "m//s",
        "m^",
        "m^x",
        "m^21",
        "(m^9)^9",
        "(m",
        "m)",
        "*m",
        "",
        "()",
        "(" * 40 + "m" + ")" * 40,
        "__import__('os')",
        "m.__class__",
        "m;s",
        "m[0]",
        "lambda: m",
    ],
)
def test_only_products_of_units_are_read(expression: str) -> None:
    """Numbers, calls and attributes are no units; nothing reaches an evaluator."""
    with pytest.raises(CallerError) as refused:
        UNITS.unit(expression, field="unit")
    assert refused.value.reason == errors.ERROR_REASON_UNIT_UNKNOWN


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(expression: str) -> None:
    """Any text is a unit or a refusal."""
    try:
        UNITS.unit(expression, field="unit")
    except CallerError as refused:
        assert refused.reason == errors.ERROR_REASON_UNIT_UNKNOWN


def test_listed_units_share_the_dimension() -> None:
    """Every unit in a list converts to the one asked about."""
    units, dimension = UNITS.compatible("km/h", field="unit")
    assert dimension == "[length] / [time]"
    assert [unit.name for unit in units] == sorted(unit.name for unit in units)
    for unit in units:
        assert str(UNITS.unit(unit.name, field="unit").dimensionality) == dimension


async def test_units_are_made_anew_before_they_remember_too_much() -> None:
    """The library keeps every expression it has read, and callers can think of many."""
    units = Units()
    servicer = ToolboxServicer(Limits(), units)
    units.expressions_read = EXPRESSIONS_MAX - 1
    assert await servicer._fresh_units() is units
    units.unit("km/h", field="unit")
    fresh = await servicer._fresh_units()
    assert fresh is not units
    assert fresh.expressions_read == 0
    assert await servicer._fresh_units() is fresh
