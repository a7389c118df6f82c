"""What is kept of answers whose connection broke."""

from __future__ import annotations

import gc
import weakref

from services.gateway.http.mcp import feed as feeds
from services.gateway.http.mcp.feed import Feed, Feeds
from tandemkit.supervise.errands import Errands
from tandemkit.testing.clock import FakeClock


async def test_an_answer_that_made_room_for_others_is_held_by_nobody() -> None:
    """However long its client would have had to come back for it."""
    kept, errands = Feeds(FakeClock()), Errands()
    feed = Feed("callers/ada s")
    kept.keep(feed)
    waiting = errands.start(kept.forget_later(feed.name))
    name, seen = feed.name, weakref.ref(feed)
    assert kept.at(f"{name}.1", feed.owner) == (feed, 1)
    del feed
    for _ in range(feeds._KEPT_MAX):
        kept.keep(Feed("callers/ada s"))
    gc.collect()
    assert seen() is None
    assert not waiting.done()
    await errands.end(0)
