"""What is kept of answers whose connection broke."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator

import pytest

from services.gateway.http.mcp import feed as feeds
from services.gateway.http.mcp.feed import Feed, Feeds
from tandemkit.supervise.errands import Errands
from tandemkit.testing.clock import FakeClock

OWNER = "callers/ada s"


async def forever(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("work")


@pytest.fixture
async def errands() -> AsyncIterator[Errands]:
    found = Errands()
    yield found
    await found.end(0)


async def test_an_answer_that_made_room_for_others_is_held_by_nobody(errands: Errands) -> None:
    """However long its client would have had to come back for it."""
    kept = Feeds(FakeClock(), errands)
    feed = Feed(OWNER)
    kept.keep(feed)
    kept.leave(feed)
    name, seen = feed.name, weakref.ref(feed)
    assert kept.at(f"{name}.1", feed.owner) == (feed, 1)
    del feed
    for _ in range(feeds._KEPT_MAX):
        kept.keep(Feed(OWNER))
    gc.collect()
    assert seen() is None


async def test_the_minute_begins_with_the_end_of_the_last_connection(errands: Errands) -> None:
    """Who came back once may come back again."""
    clock = FakeClock()
    kept, feed = Feeds(clock, errands), Feed(OWNER)
    event = f"{feed.name}.0"
    kept.keep(feed)
    kept.leave(feed)
    await clock.advance(50.0)
    kept.keep(feed)
    await clock.advance(50.0)
    assert kept.at(event, OWNER)
    kept.leave(feed)
    await clock.advance(50.0)
    assert kept.at(event, OWNER)
    await clock.advance(20.0)
    assert kept.at(event, OWNER) is None


async def test_what_nobody_can_read_any_more_is_not_worked_on(errands: Errands) -> None:
    """A minute after its client left, and where it made room for others."""
    clock, ended = FakeClock(), list[str]()
    kept, feed, other = Feeds(clock, errands), Feed(OWNER), Feed(OWNER)
    for one in (feed, other):
        one.work = errands.start(forever(ended))
        kept.keep(one)
    kept.leave(feed)
    await clock.advance(59.0)
    assert not ended
    await clock.advance(2.0)
    assert len(ended) == 1
    for _ in range(feeds._KEPT_MAX):
        kept.keep(Feed(OWNER))
    await clock.advance(61.0)
    assert len(ended) == 1  # its client still reads it
    kept.leave(other)
    await clock.advance(1.0)
    assert len(ended) == 2
