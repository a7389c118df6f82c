"""Catalogue row M018: who is suspended under pressure, and who comes back."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.platform.resource.guard import Guard, Refused
from services.platform.resource.scene import Scene
from services.platform.resource.strain import Limits, Strain
from tandem.fleet.v1.resources_pb2 import PRIORITY_CRITICAL
from tandemkit.core.errors import Failure
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.sqlite import sqlite_state
from tandemkit.testing.clock import FakeClock
from tests.unit.services.platform.resource import machines

LIMITS = Limits(calm_s=30)


class Crew:
    """A supervisor that does what it is told, and a gauge that says what the test says."""

    def __init__(self, refuses: Iterable[str] = ()) -> None:
        self.suspended: list[str] = []
        self.deeds: list[str] = []
        self.strain = Strain()
        # It does what it is asked for, and its answer is lost.
        self.is_silent = False
        self._refuses = set(refuses)

    async def suspend(self, agent: str, _why: str) -> None:
        if agent in self._refuses:
            raise Refused("no", agent=agent)
        self.deeds.append(f"-{agent}")
        self.suspended.append(agent)
        if self.is_silent:
            raise Failure("no answer in time", agent=agent)

    async def resume(self, agent: str, _why: str) -> None:
        if agent in self._refuses:
            raise Failure("no", agent=agent)
        self.deeds.append(f"+{agent}")
        self.suspended.remove(agent)

    async def gauge(self, _scene: Scene) -> Strain:
        return self.strain

    @property
    def scene(self) -> Scene:
        return machines.scene(self.suspended)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[State]:
    async with sqlite_state(tmp_path / "state.sqlite") as store:
        yield State(store)


async def looks(guard: Guard, crew: Crew, clock: FakeClock, times: int) -> None:
    """One a second."""
    for _ in range(times):
        await guard.look(crew.scene, LIMITS)
        await clock.advance(1)


async def test_m018_memory_pressure_suspends_a_standard_agent_before_a_critical_one(
    state: State, clock: FakeClock
) -> None:
    """As long as it lasts, one after the other, and what all stand on never."""
    crew = Crew()
    guard = Guard(crew, crew.gauge, state, clock)
    crew.strain = Strain(over_mib=500, cause="short")
    await looks(guard, crew, clock, 10)
    assert crew.deeds == ["-tell", "-sum", "-guard"]
    assert guard.cause == "nobody is left who may be suspended"
    assert [one.cause for one in guard.suspensions] == ["short"] * 3


async def test_no_more_are_suspended_than_it_takes(state: State, clock: FakeClock) -> None:
    """A look follows each: what was really freed counts, not what was planned."""
    crew = Crew()
    guard = Guard(crew, crew.gauge, state, clock)
    crew.strain = Strain(over_mib=500, cause="short")
    await looks(guard, crew, clock, 1)
    crew.strain = Strain()
    await looks(guard, crew, clock, 100)
    assert crew.deeds == ["-tell"]


async def test_the_most_urgent_comes_back_first(state: State, clock: FakeClock) -> None:
    """When there has been room for it for a while, and the next one as long after it."""
    crew = Crew()
    guard = Guard(crew, crew.gauge, state, clock)
    crew.strain = Strain(over_mib=500, cause="short")
    await looks(guard, crew, clock, 3)
    crew.strain = Strain(spare_mib=29)
    await looks(guard, crew, clock, 60)
    assert crew.deeds[3:] == []
    crew.strain = Strain(spare_mib=1000)
    await looks(guard, crew, clock, 30)
    assert crew.deeds[3:] == []
    await looks(guard, crew, clock, 1)
    assert crew.deeds[3:] == ["+guard"]
    await looks(guard, crew, clock, 60)
    assert crew.deeds[3:] == ["+guard", "+sum", "+tell"]
    assert not guard.suspensions


async def test_a_guard_that_was_killed_knows_whom_it_suspended(
    state: State, clock: FakeClock
) -> None:
    """Its next life resumes them."""
    crew = Crew()
    first = Guard(crew, crew.gauge, state, clock)
    crew.strain = Strain(over_mib=500, cause="short")
    await looks(first, crew, clock, 2)
    crew.strain = Strain(spare_mib=1000)
    second = Guard(crew, crew.gauge, state, clock)
    await second.restore()
    await looks(second, crew, clock, 70)
    assert crew.deeds == ["-tell", "-sum", "+sum", "+tell"]


async def test_whom_somebody_else_suspended_is_not_resumed(state: State, clock: FakeClock) -> None:
    """Nor suspended again."""
    crew = Crew()
    crew.suspended.append("tell")
    guard = Guard(crew, crew.gauge, state, clock)
    crew.strain = Strain(over_mib=5, cause="short")
    await looks(guard, crew, clock, 1)
    crew.strain = Strain(spare_mib=1000)
    await looks(guard, crew, clock, 100)
    assert crew.deeds == ["-sum", "+sum"]


async def test_whom_somebody_resumed_is_theirs(state: State, clock: FakeClock) -> None:
    """An operator who wants the agent has it, until memory is short again."""
    crew = Crew()
    guard = Guard(crew, crew.gauge, state, clock)
    crew.strain = Strain(over_mib=5, cause="short")
    await looks(guard, crew, clock, 1)
    crew.strain = Strain()
    await looks(guard, crew, clock, 10)
    crew.suspended.clear()
    await looks(guard, crew, clock, 1)
    assert not guard.suspensions


async def test_who_cannot_be_suspended_is_passed_over(state: State, clock: FakeClock) -> None:
    """The next one goes instead, before anybody more urgent; why is told."""
    crew = Crew(refuses=["tell"])
    guard = Guard(crew, crew.gauge, state, clock)
    crew.strain = Strain(over_mib=5, cause="short")
    await looks(guard, crew, clock, 1)
    assert "agent='tell'" in guard.cause
    assert not guard.suspensions
    await looks(guard, crew, clock, 1)
    assert crew.deeds == ["-sum"]
    crew.strain = Strain()
    await looks(guard, crew, clock, 10)
    assert [one.agent for one in guard.suspensions] == ["sum"]


async def test_who_may_have_been_suspended_is_resumed(state: State, clock: FakeClock) -> None:
    """An answer that was lost leaves nobody suspended for good."""
    crew = Crew()
    crew.is_silent = True
    guard = Guard(crew, crew.gauge, state, clock)
    crew.strain = Strain(over_mib=5, cause="short")
    await looks(guard, crew, clock, 1)
    crew.strain = Strain(spare_mib=1000)
    await looks(guard, crew, clock, 40)
    assert crew.deeds == ["-tell", "+tell"]
    assert not guard.suspensions


async def test_what_would_be_is_forecast(state: State, clock: FakeClock) -> None:
    """In the order in which it would be done, and no more than is needed."""
    crew = Crew()
    guard = Guard(crew, crew.gauge, state, clock)
    assert [one.agent for one in guard.forecast(crew.scene, 25)] == ["tell", "sum"]
    assert [one.agent for one in guard.forecast(crew.scene, 31)] == ["tell", "sum", "guard"]


_MOMENTS = st.lists(
    st.one_of(
        st.builds(Strain, over_mib=st.integers(1, 100), cause=st.just("short")),
        st.builds(Strain, spare_mib=st.integers(0, 100)),
    ),
    max_size=60,
)


@given(_MOMENTS, st.sets(st.sampled_from(sorted(machines.AGENTS))))
@settings(max_examples=40)
def test_m018_a_critical_agent_never_goes_while_a_standard_one_could(
    moments: list[Strain], refuses: set[str]
) -> None:
    """However memory comes and goes; and in the end all are back."""
    asyncio.run(_live_through(moments, refuses))


async def _live_through(moments: list[Strain], refuses: set[str]) -> None:
    crew, clock = Crew(refuses), FakeClock()
    with tempfile.TemporaryDirectory() as folder:
        async with sqlite_state(Path(folder) / "state.sqlite") as store:
            guard = Guard(crew, crew.gauge, State(store), clock)
            for moment in moments:
                crew.strain = moment
                before = list(crew.suspended)
                await looks(guard, crew, clock, 1)
                for agent in set(crew.suspended) - set(before):
                    if machines.AGENTS[agent][1] == PRIORITY_CRITICAL:
                        assert {"tell", "sum"} <= {*before, *refuses}
                assert "store" not in crew.suspended
            crew.strain = Strain(spare_mib=1000)
            await looks(guard, crew, clock, 150)
            assert not crew.suspended
            assert not guard.suspensions
