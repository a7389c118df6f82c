"""What a watcher sees: a snapshot, then every change in order; or only what it missed."""

from __future__ import annotations

import pytest

from tandemkit.registry.protocol import Changed, Event, Lease, Registry, Removed, Snapshot
from tests.contract.registry.case import Case, Watched, resuming, until, watching
from tests.contract.registry.leases import LONG_TTL_S


async def _with_keys(registry: Registry, *keys: str) -> Lease:
    lease = await registry.open_lease("host-a", LONG_TTL_S)
    for key in keys:
        await registry.register(lease, key, b"first")
    return lease


class WatchPromises:
    """For every backend."""

    async def test_an_empty_registry_has_a_snapshot(self, case: Case) -> None:
        """A watcher is told that there is nothing."""
        registry = await case.open()
        async with watching(case, registry) as watched:
            assert watched.view == {}

    async def test_a_snapshot_comes_first_and_then_each_change(self, case: Case) -> None:
        """What was there comes whole, and what happens after it one by one, in order."""
        registry = await case.open()
        lease = await _with_keys(registry, "one", "two")
        async with watching(case, registry) as watched:
            assert set(watched.view) == {"one", "two"}
            await registry.register(lease, "one", b"second")
            await registry.register(lease, "three", b"first")
            await registry.deregister(lease, "two")
            await until(case, lambda: "two" not in watched.view)
            first, *changes = watched.events
            assert isinstance(first, Snapshot)
            told = [one.key if isinstance(one, Removed) else one.entry for one in _only(changes)]
            seen = [one if isinstance(one, str) else (one.key, one.value) for one in told]
            assert seen == [("one", b"second"), ("three", b"first"), "two"]

    async def test_what_stays_as_it_is_is_no_change(self, case: Case) -> None:
        """Registering the same again is told to nobody."""
        registry = await case.open()
        lease = await _with_keys(registry, "one")
        async with watching(case, registry) as watched:
            await registry.register(lease, "one", b"first")
            await registry.register(lease, "two", b"")
            await until(case, lambda: "two" in watched.view)
            assert [_key(one) for one in _only(watched.events[1:])] == ["two"]

    async def test_all_watchers_see_the_same(self, case: Case) -> None:
        """Watchers through different clients learn the same changes in the same order."""
        mine, other = await case.open(), await case.open()
        async with watching(case, mine) as near, watching(case, other) as far:
            lease = await _with_keys(mine, "one", "two", "three")
            await mine.deregister(lease, "two")
            await mine.register(lease, "end", b"")
            await until(case, lambda: "end" in near.view and "end" in far.view)
            assert near.view == far.view
            assert set(near.view) == {"one", "three", "end"}

    async def test_a_watcher_resumes_where_it_left(self, case: Case) -> None:
        """Whoever comes back with its last revision misses nothing that happened meanwhile."""
        registry = await case.open()
        lease = await _with_keys(registry, "one", "two")
        async with watching(case, registry) as watched:
            pass
        await registry.register(lease, "one", b"second")
        await registry.deregister(lease, "two")
        async with resuming(registry, watched, watched.revision) as resumed:
            await until(case, lambda: resumed.values() == {"one": b"second"})
            await registry.register(lease, "three", b"")
            await until(case, lambda: "three" in resumed.view)

    async def test_a_watcher_that_is_up_to_date_hears_what_comes(self, case: Case) -> None:
        """Resuming from the present brings the next change."""
        registry = await case.open()
        lease = await _with_keys(registry, "one")
        async with watching(case, registry) as watched:
            pass
        async with resuming(registry, watched, watched.revision) as resumed:
            await registry.register(lease, "two", b"")
            await until(case, lambda: set(resumed.view) == {"one", "two"})

    @pytest.mark.parametrize("is_ahead", [False, True])
    async def test_a_revision_that_never_was_gets_a_snapshot(
        self, case: Case, is_ahead: bool
    ) -> None:
        """Whoever comes from another registry's revision is told everything."""
        registry = await case.open()
        lease = await _with_keys(registry, "one")
        async with watching(case, registry) as watched:
            pass
        since = watched.revision + 1_000_000 if is_ahead else 0
        async with resuming(registry, Watched(), since) as resumed:
            await registry.register(lease, "two", b"")
            await until(case, lambda: set(resumed.view) == {"one", "two"})

    async def test_a_watch_can_be_closed_and_opened_often(self, case: Case) -> None:
        """Watchers come and go without a trace."""
        registry = await case.open()
        await _with_keys(registry, "one")
        for _ in range(20):
            async with watching(case, registry) as watched:
                assert set(watched.view) == {"one"}


def _only(events: list[Event]) -> list[Changed | Removed]:
    changes = [one for one in events if isinstance(one, Changed | Removed)]
    assert len(changes) == len(events), "a snapshot where changes were due"
    return changes


def _key(event: Changed | Removed) -> str:
    return event.key if isinstance(event, Removed) else event.entry.key
