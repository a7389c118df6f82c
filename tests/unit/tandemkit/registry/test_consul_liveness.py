"""Who is alive, by our own clock."""

from __future__ import annotations

import base64

import pytest

from tandemkit.registry.consul_kv import Row
from tandemkit.registry.consul_liveness import Liveness, beat
from tandemkit.testing.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def row(key: str, version: int, ttl_s: float = 2.0) -> Row:
    return row_of(key, beat(ttl_s), version)


def row_of(key: str, value: bytes, version: int) -> Row:
    return Row(key, base64.b64encode(value).decode(), version, "session")


async def test_a_row_that_stands_still_lapses(clock: FakeClock) -> None:
    """A new version moves the deadline on; hearing of the same one again does not."""
    liveness = Liveness(clock)
    liveness.take(10, [row("a", 5), row("b", 6)])
    await clock.advance(1.5)
    liveness.take(12, [row("a", 11), row("b", 6)])
    await clock.advance(0.5)
    assert (liveness.lapsed("a"), liveness.lapsed("b")) == (None, 6)
    assert liveness.all_lapsed("") == ["b"]


async def test_an_answer_from_before_our_own_write_takes_nothing_away(clock: FakeClock) -> None:
    """A row that we just wrote may be missing or older in an answer that was on its way."""
    liveness = Liveness(clock)
    liveness.hear("new", 20, 2.0)
    liveness.take(15, [])
    await clock.advance(2.0)
    assert liveness.lapsed("new") == 20
    liveness.take(21, [])
    assert liveness.lapsed("new") is None


async def test_who_could_not_be_heard_gets_their_time_again(clock: FakeClock) -> None:
    """Nothing lapses while nothing is heard, nor for one whole time to live after."""
    liveness = Liveness(clock)
    liveness.take(10, [row("a", 5)])
    liveness.deafen()
    await clock.advance(60.0)
    assert liveness.lapsed("a") is None
    liveness.take(10, [row("a", 5)])
    await clock.advance(1.9)
    assert liveness.lapsed("a") is None
    await clock.advance(0.1)
    assert liveness.lapsed("a") == 5


async def test_versions_that_begin_anew_count_as_new(clock: FakeClock) -> None:
    """After a Consul was emptied, its lower numbers are the true ones."""
    liveness = Liveness(clock)
    liveness.take(1000, [row("a", 900)])
    await clock.advance(1.0)
    liveness.restart(20, [row("a", 15)])
    await clock.advance(1.0)
    assert liveness.lapsed("a") is None
    await clock.advance(1.0)
    assert liveness.lapsed("a") == 15


async def test_a_strangers_row_is_nobodys(clock: FakeClock) -> None:
    """What is no heartbeat of ours neither lives nor lapses."""
    liveness = Liveness(clock)
    liveness.take(10, [row_of("stray", b"hello", 5), row_of("odd", b'{"ttl_s": "x"}', 5)])
    await clock.advance(60.0)
    assert liveness.all_lapsed("") == []


async def test_whoever_slept_itself_calls_nobody_dead(clock: FakeClock) -> None:
    """From the moment that it is late, and for everybody's whole time after it has noticed."""
    liveness = Liveness(clock)
    liveness.take(10, [row("a", 5)])
    liveness.awake(0.5)
    await clock.advance(3600.0)
    assert liveness.lapsed("a") is None
    liveness.awake(0.5)
    assert liveness.lapsed("a") is None
    for _ in range(5):
        await clock.advance(0.4)
        liveness.awake(0.5)
    assert liveness.lapsed("a") == 5


async def test_whoever_slept_and_heard_nothing_yet_waits_for_an_answer(clock: FakeClock) -> None:
    """Being awake again is not having heard."""
    liveness = Liveness(clock)
    liveness.take(10, [row("a", 5)])
    liveness.awake(0.5)
    liveness.deafen()
    await clock.advance(3600.0)
    liveness.awake(0.5)
    assert liveness.deaf
