from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.platform.resource.strain import Limits, Reading, Strain, strain
from tandem.platform.config.v1.resource_pb2 import PressureSettings
from tandemkit.telemetry.machine import Memory

_MIB = 1024 * 1024
_LIMITS = Limits(scarce_percent=5, plenty_percent=10, stalled_percent=20)


def memory(available_mib: int, stalled: float | None = None) -> Memory:
    """Of a machine with 1000 MiB."""
    return Memory(1000 * _MIB, available_mib * _MIB, "machine", stalled)


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (Reading(memory(400), 0, 0), Strain(spare_mib=300)),
        (Reading(memory(60), 0, 0), Strain()),
        (Reading(memory(40), 0, 0), Strain(60, 0, "40 MiB, 4.0 %, of the machine's are left")),
        (
            Reading(memory(400, 25.0), 0, 0),
            Strain(1, 0, "tasks waited for memory 25 % of the time"),
        ),
        (Reading(memory(400), 80, 100), Strain(spare_mib=20)),
        (
            Reading(memory(400), 130, 100),
            Strain(30, 0, "the hosts use 130 MiB, and the pools hold 100"),
        ),
        (
            Reading(memory(40, 90.0), 130, 100),
            Strain(60, 0, "40 MiB, 4.0 %, of the machine's are left"),
        ),
        (Reading(None, 90, 100), Strain(spare_mib=10)),
        (Reading(None, 90, 0), Strain()),
    ],
)
def test_the_worst_of_all_counts(reading: Reading, expected: Strain) -> None:
    """With the words for it; between scarce and plenty nothing is to be done either way."""
    assert strain(reading, _LIMITS) == expected


@given(st.integers(0, 1000), st.one_of(st.none(), st.floats(0, 100)), st.integers(0, 500))
def test_nobody_is_told_to_free_and_to_take(
    available: int, stalled: float | None, used: int
) -> None:
    """What was freed as asked leaves no strain, so nobody is suspended and resumed in turn."""
    found = strain(Reading(memory(available, stalled), used, 200), _LIMITS)
    assert not (found.over_mib and found.spare_mib)
    assert bool(found.cause) == bool(found.over_mib)
    if found.over_mib > 1:
        relieved = memory(min(1000, available + found.over_mib))
        after = strain(Reading(relieved, max(0, used - found.over_mib), 200), _LIMITS)
        assert not after.over_mib


def test_what_is_not_said_has_its_default() -> None:
    """And what frees memory never aims below what is scarce."""
    assert Limits.of(PressureSettings()) == Limits()
    assert Limits.of(PressureSettings(scarce_percent=30)).plenty_percent == 30
