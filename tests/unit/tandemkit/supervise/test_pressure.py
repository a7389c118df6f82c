"""Catalogue row M018: who is suspended first when memory runs out."""

from __future__ import annotations

from tandemkit.fleet.needs import Calls
from tandemkit.supervise.pressure import Pressure, suspension_order
from tests.unit.tandemkit.fleet.planted import FLEET, GUARD, TELL, Planted


def order(planted: Planted, memory_mib: int = 10_000, machine: str = "big") -> list[str]:
    found = suspension_order(planted.plan(), Pressure(machine, memory_mib))
    return [one.agent for one in found]


def test_m018_memory_pressure_suspends_a_standard_agent_before_a_critical_one() -> None:
    """And what all stand on never, however much is asked."""
    assert order(Planted()) == ["text-tell", "text-sum", "look-draw", "look-see", "text-guard"]


def test_no_more_are_suspended_than_are_needed() -> None:
    """Down to the very MiB; nothing where there is no pressure."""
    assert order(Planted(), 50) == ["text-tell"]
    assert order(Planted(), 51) == ["text-tell", "text-sum"]
    assert order(Planted(), 0) == []


def test_a_caller_goes_before_whom_it_cannot_do_without() -> None:
    """However small it is; it would fail anyway."""
    small = Planted().changed(FLEET, "memory_mib: 50", "memory_mib: 1")
    assert order(small)[:2] == ["text-tell", "text-sum"]


def test_what_a_critical_agent_needs_is_not_suspended_for_a_standard_one() -> None:
    """Nor is what that needs in turn."""
    needed = Planted().calling(GUARD, Calls(hard=(TELL,)))
    assert order(needed) == ["look-draw", "look-see", "text-guard", "text-tell", "text-sum"]


def test_a_priority_of_its_own_counts_before_the_pools() -> None:
    """An operator may know better."""
    urgent = Planted().changed(FLEET, "gpu_percent: 30", "priority: essential")
    assert "look-draw" not in order(urgent)


def test_pressure_on_one_machine_is_answered_there() -> None:
    """Suspending an agent elsewhere frees nothing here."""
    assert order(Planted(), machine="small") == ["text-sum"]
