from __future__ import annotations

from datetime import timedelta

from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock


async def test_sleepers_wake_in_order_and_only_when_moved() -> None:
    """Each sees the time that it asked for, also in a sleep begun while time moves."""
    clock = FakeClock()
    seen: list[tuple[str, float]] = []

    async def sleeper(name: str, duration_s: float, times: int) -> None:
        for _ in range(times):
            await clock.sleep(duration_s)
            seen.append((name, clock.monotonic_s()))

    async with Tasks() as tasks:
        tasks.spawn("slow", sleeper("slow", 2.5, 1))
        tasks.spawn("quick", sleeper("quick", 1.0, 3))
        await clock.advance(0.5)
        assert seen == []
        await clock.advance(2.5)
    assert seen == [("quick", 1.0), ("quick", 2.0), ("slow", 2.5), ("quick", 3.0)]
    assert (clock.now() - FakeClock().now()).total_seconds() == 3.0


async def test_who_waits_for_a_moment_wakes_when_the_clock_shows_it() -> None:
    """By time that passes, or because somebody sets the clock; back, it takes longer."""
    clock = FakeClock()
    start, seen = clock.now(), list[str]()

    async def sleeper(name: str, minutes: int) -> None:
        await clock.sleep_until(start + timedelta(minutes=minutes))
        seen.append(name)

    async with Tasks() as tasks:
        for name, minutes in (("first", 1), ("second", 10), ("third", 11)):
            tasks.spawn(name, sleeper(name, minutes))
        await clock.advance(60)
        assert seen == ["first"]
        await clock.set_wall(start + timedelta(minutes=10))
        assert seen == ["first", "second"]
        await clock.set_wall(start + timedelta(minutes=5))
        await clock.advance(359)
        assert seen == ["first", "second"]
        await clock.advance(1)
    assert seen == ["first", "second", "third"]
    assert clock.monotonic_s() == 60 + 360
