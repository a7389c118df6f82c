"""One view of Consul's registrations, and watchers at their own pace."""

from __future__ import annotations

from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.reach.failure import Unreachable
from tandemkit.registry.consul_feed import Feed
from tandemkit.registry.protocol import Changed, Entry, Event, Removed, Snapshot

State = dict[str, tuple[Entry, int]]


def state(**versions: int) -> State:
    """Each value says its version, so that two versions of a key are two entries."""
    return {
        key: (Entry(key, b"%d" % version, "host"), version) for key, version in versions.items()
    }


def feed_of(revision: int, found: State, changes_kept: int = 100) -> Feed:
    feed = Feed(changes_kept)
    feed.take(revision, found)
    return feed


async def told(feed: Feed, since: int | None, until: int) -> list[Event]:
    """The events of a watch, up to the first at the revision `until`."""
    events: list[Event] = []
    async with aclosing(feed.watch(since)) as watch:
        while not events or events[-1].revision < until:
            events.append(await anext(watch))
    return events


async def test_an_answer_is_told_in_the_order_of_its_changes() -> None:
    """Changes come by their own revisions, and removals with the answer's."""
    feed = feed_of(10, state(a=3, b=4, gone=5))
    feed.take(20, state(a=15, b=12, new=11))
    changes = await told(feed, 10, 20)
    assert len(changes) == 4
    keys = [one.entry.key for one in changes if isinstance(one, Changed)]
    assert keys == ["new", "b", "a"]
    assert changes[-1] == Removed("gone", 20)


async def test_an_older_answer_changes_nothing() -> None:
    """Two reads may overtake each other; what is known stays known."""
    feed = feed_of(20, state(a=15))
    feed.take(12, state(a=11, b=12))
    (snapshot,) = await told(feed, None, 20)
    assert snapshot == Snapshot((Entry("a", b"15", "host"),), 20)


async def test_who_had_only_one_of_two_removals_gets_a_snapshot() -> None:
    """Both carry one revision, so resuming from it cannot tell which of them was had."""
    feed = feed_of(10, state(a=3, b=4))
    feed.take(20, {})
    assert await told(feed, 20, 20) == [Snapshot((), 20)]


async def test_who_fell_behind_gets_a_snapshot() -> None:
    """A watcher whose place is gone is told the state, and goes on from there."""
    feed = feed_of(10, {}, changes_kept=2)
    async with aclosing(feed.watch(None)) as watch:
        assert await anext(watch) == Snapshot((), 10)
        for version in range(11, 14):
            feed.take(version, state(a=version))
        snapshot = Snapshot((Entry("a", b"13", "host"),), 13)
        assert await anext(watch) == snapshot
        feed.take(14, {})
        assert await anext(watch) == Removed("a", 14)


async def test_a_failure_ends_watches_until_something_is_known_again() -> None:
    """No watcher goes on showing what may long be past."""
    feed = feed_of(10, {})
    feed.fail(Unreachable("away"))
    with pytest.raises(Unreachable):
        await told(feed, None, 10)
    feed.take(10, {})
    assert await told(feed, None, 10) == [Snapshot((), 10)]


VALUES = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3))


@given(st.lists(VALUES, min_size=3, max_size=9), st.integers(1, 8), st.data())
async def test_whoever_resumes_ends_up_with_the_truth(
    values: list[dict[str, int]], changes_kept: int, data: st.DataObject
) -> None:
    """Wherever it stopped, between two changes of one answer too, resuming misses nothing."""
    states = [_at(10 * number, some) for number, some in enumerate(values, 1)]
    stop = data.draw(st.integers(1, len(states) - 1), "answers before it stops")
    feed, view = Feed(changes_kept), {key: entry for key, (entry, _) in states[stop - 1].items()}
    for number, one in enumerate(states[: stop + 1], 1):
        feed.take(10 * number, one)
    since = 10 * stop
    async with aclosing(feed.watch(since)) as watch:
        for _ in range(data.draw(st.integers(0, _differences(view, states[stop])), "reads")):
            event = await anext(watch)
            _apply(view, event)
            since = event.revision
            if isinstance(event, Snapshot):
                break
    for number, one in enumerate(states[stop + 1 :], stop + 2):
        feed.take(10 * number, one)
    last = {**states[-1], **state(end=1000)}
    feed.take(1000, last)
    async with aclosing(feed.watch(since)) as watch:
        while "end" not in view:
            _apply(view, await anext(watch))
    assert view == {key: entry for key, (entry, _) in last.items()}


def _at(revision: int, values: dict[str, int]) -> State:
    return {
        key: (Entry(key, b"%d" % value, "host"), revision - place)
        for place, (key, value) in enumerate(values.items())
    }


def _differences(view: dict[str, Entry], found: State) -> int:
    return sum(view.get(key) != found.get(key, (None,))[0] for key in {*view, *found})


def _apply(view: dict[str, Entry], event: Event) -> None:
    match event:
        case Snapshot():
            view.clear()
            view.update((entry.key, entry) for entry in event.entries)
        case Changed():
            view[event.entry.key] = event.entry
        case Removed():
            del view[event.key]
