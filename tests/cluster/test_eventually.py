"""Waiting looks again until it holds, and says what it saw last."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.cluster.eventually import eventually


class PassingClock:
    """Time that passes by being waited for, and in no other way."""

    def __init__(self) -> None:
        self._passed_s = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._passed_s)

    def monotonic_s(self) -> float:
        return self._passed_s

    async def sleep(self, duration_s: float) -> None:
        self._passed_s += duration_s

    async def sleep_until(self, moment: datetime) -> None:
        await self.sleep(max(0.0, (moment - self.now()).total_seconds()))


async def test_the_first_state_that_holds_is_returned() -> None:
    """What fails or does not hold yet is looked at again."""
    seen: list[int] = []

    async def look() -> int:
        seen.append(len(seen))
        if len(seen) < 3:
            raise ConnectionError
        return len(seen)

    assert await eventually(look, lambda state: state == 5, clock=PassingClock()) == 5
    assert len(seen) == 5


async def test_the_last_state_is_told_once_time_is_up() -> None:
    """A failed wait says what was there instead."""

    async def look() -> list[str]:
        return ["starting"]

    with pytest.raises(AssertionError, match="starting"):
        await eventually(look, lambda state: state == ["ready"], clock=PassingClock())


async def test_a_mistake_in_the_test_is_not_waited_out() -> None:
    """An error that no waiting can mend ends it at once."""

    async def look() -> int:
        raise TypeError("no such argument")

    with pytest.raises(TypeError):
        await eventually(look, clock=PassingClock())
