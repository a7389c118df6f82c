"""Watchers of the embedded registry, each at its own pace."""

from __future__ import annotations

from collections.abc import Callable

from tandemkit.registry import embedded_changes
from tandemkit.registry.embedded_changes import Changes
from tandemkit.registry.protocol import VALUE_BYTES_MAX, Changed, Entry, Event, Removed, Snapshot


def blocks_of(count: int) -> Callable[[], range]:
    """Reserves revisions, from 1 on."""
    taken = [1]

    def reserve() -> range:
        taken.append(taken[-1] + count)
        return range(taken[-2], taken[-1])

    return reserve


def changes_of(count: int) -> Changes:
    """A history as short as `count`."""
    return Changes((), blocks_of(1000), history_count_max=count)


def entry(number: int) -> Entry:
    return Entry(f"agents/{number}", b"", "host-a")


def revisions(events: list[Event]) -> list[int]:
    return [event.revision for event in events]


async def taken(changes: Changes, since: int | None, count: int) -> list[Event]:
    """The first so many events of a watch."""
    watch = changes.watch(since)
    events = [await anext(watch) for _ in range(count)]
    await watch.aclose()
    return events


async def test_a_history_that_reaches_back_needs_no_snapshot() -> None:
    """Each change after the revision comes, and only those."""
    changes = changes_of(4)
    for number in range(9):
        changes.put(entry(number))
    events = await taken(changes, 6, 4)
    assert events == [Changed(entry(number), number + 2) for number in (5, 6, 7, 8)]


async def test_what_the_history_lost_comes_as_a_snapshot() -> None:
    """One revision further back is one too many."""
    changes = changes_of(4)
    for number in range(9):
        changes.put(entry(number))
    (snapshot,) = await taken(changes, 5, 1)
    assert snapshot == Snapshot(tuple(entry(number) for number in range(9)), 10)


async def test_a_watcher_that_falls_behind_gets_a_snapshot_and_no_gap() -> None:
    """While it does not read it costs nothing; when it does it has all, and then goes on."""
    changes = changes_of(4)
    watch = changes.watch(None)
    assert await anext(watch) == Snapshot((), 1)
    changes.put(entry(0))
    assert await anext(watch) == Changed(entry(0), 2)
    for number in range(1, 100):
        changes.put(entry(number))
    changes.remove("agents/0")
    behind = await anext(watch)
    assert isinstance(behind, Snapshot)
    assert (len(behind.entries), behind.revision) == (99, 102)
    changes.remove("agents/1")
    assert await anext(watch) == Removed("agents/1", 103)
    await watch.aclose()


async def test_the_history_is_bounded_in_bytes_too() -> None:
    """Many large registrations push out more than their number says."""
    changes = Changes((), blocks_of(1000))
    large = bytes(VALUE_BYTES_MAX)
    for number in range(200):
        changes.put(Entry("agents/large", large + b"%d" % number, "host-a"))
        assert changes._history_bytes <= embedded_changes.HISTORY_BYTES_MAX
    (snapshot,) = await taken(changes, 2, 1)
    assert isinstance(snapshot, Snapshot)


async def test_revisions_go_on_over_the_end_of_a_reservation() -> None:
    """No revision is used that was not reserved, and none is left out."""
    reserved: list[range] = []
    reserve = blocks_of(3)

    def reserve_noted() -> range:
        reserved.append(reserve())
        return reserved[-1]

    changes = Changes((), reserve_noted)
    for number in range(10):
        changes.put(entry(number))
        changes.remove(entry(number).key)
        assert changes._revision in reserved[-1]
    assert revisions(await taken(changes, 1, 20)) == list(range(2, 22))
