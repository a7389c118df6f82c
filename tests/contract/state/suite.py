"""The promises of `tandemkit.storage.state.protocol`, as tests: one suite for all backends."""

from __future__ import annotations

import asyncio
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tandem.control.v1 import registration_pb2 as nouns
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.protocol import (
    CHANGES_MAX,
    CONTENT_BYTES_MAX,
    Change,
    Entry,
    StateStore,
    Stored,
    VersionConflict,
)

_KEYS = st.sampled_from(["a", "a/1", "a/2", "b", "b.c", "a-"])
CHANGES = st.lists(
    st.builds(Change, _KEYS, st.none() | st.binary(max_size=3)),
    min_size=1,
    max_size=4,
    unique_by=lambda change: change.key,
)
# Each example empties the store; each backend's class runs the same property.
ONE_TEST_FOR_ALL = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]


class Case(Protocol):
    """One backend under test, empty at first. The fixture `case` yields it, and closes what it
    opened.
    """

    async def open(self) -> StateStore:
        """A client as another process of the owner would have one; where one process owns the
        store, the one that there is.
        """

    async def reopen(self) -> StateStore:
        """A client of what is kept, when every earlier one is gone."""


def put(key: str, content: bytes = b"x", expected: int | None = None) -> Change:
    return Change(key, content, expected)


class StateSuite:
    async def test_what_was_written_is_read_and_survives(self, case: Case) -> None:
        """With its version; what was not written is not there."""
        store = await case.open()
        version = await store.write([put("a", b"\0one\xff"), put("b", b"")])
        assert await store.get("a") == Stored(b"\0one\xff", version)
        assert await store.get("c") is None
        again = await case.reopen()
        assert await again.get("b") == Stored(b"", version)

    async def test_versions_rise_also_over_a_deletion(self, case: Case) -> None:
        """A version that was seen once is never another value's."""
        store = await case.open()
        first = await store.write([put("a")])
        gone = await store.write([Change("a", None)])
        assert await store.get("a") is None
        again = await case.reopen()
        third = await again.write([put("a")])
        assert first < gone < third

    async def test_a_write_is_whole_or_not_at_all(self, case: Case) -> None:
        """One change whose expectation fails keeps all others from happening."""
        store = await case.open()
        version = await store.write([put("a", b"1"), put("b", b"1")])
        changes = [put("a", b"2"), put("c", b"2"), Change("b", None, version - 1)]
        with pytest.raises(VersionConflict) as refused:
            await store.write(changes)
        assert (refused.value.metadata["key"], refused.value.actual) == ("b", version)
        assert [entry.key for entry in await store.entries()] == ["a", "b"]
        assert await store.get("a") == Stored(b"1", version)
        await store.write([put("a", b"2"), put("c", b"2"), Change("b", None, version)])
        assert [entry.key for entry in await store.entries()] == ["a", "c"]

    async def test_none_is_expected_by_zero(self, case: Case) -> None:
        """Of many who create one value one does."""
        stores = [await case.open() for _ in range(3)]

        async def create(number: int) -> bool:
            try:
                await stores[number % 3].write([put("a", bytes([number]), expected=0)])
            except VersionConflict:
                return False
            return True

        done = await asyncio.gather(*(create(number) for number in range(12)))
        assert sum(done) == 1
        found = await stores[0].get("a")
        assert found is not None
        assert found.content == bytes([done.index(True)])

    async def test_entries_come_in_order_and_by_page(self, case: Case) -> None:
        """Behind a key, with a beginning, and no more than asked for."""
        store = await case.open()
        keys = ["b/1", "a", "b", "b/2", "b-", "c", "B"]
        version = await store.write([put(key, key.encode()) for key in keys])
        assert [one.key for one in await store.entries()] == sorted(keys)
        assert [one.key for one in await store.entries("b/")] == ["b/1", "b/2"]
        assert [one.key for one in await store.entries("b/", "b/1")] == ["b/2"]
        assert [one.key for one in await store.entries("b", "a")] == ["b", "b-", "b/1", "b/2"]
        assert await store.entries(after="b-", limit=1) == (Entry("b/1", Stored(b"b/1", version)),)
        assert await store.entries("d") == ()

    async def test_bad_input_is_refused_before_anything_is_done(self, case: Case) -> None:
        """Keys, sizes and counts that no backend takes are the caller's mistake."""
        store = await case.open()
        bad: list[list[Change]] = [[], [put("")], [put("a\n")], [put("a"), put("a")]]
        bad += [[put("a", bytes(CONTENT_BYTES_MAX + 1))], [put("a", expected=-1)]]
        bad += [[put(f"a{number}") for number in range(CHANGES_MAX + 1)]]
        for changes in bad:
            with pytest.raises(ValueError, match=r"key|write|content|version"):
                await store.write(changes)
        with pytest.raises(ValueError, match="page"):
            await store.entries(limit=0)
        with pytest.raises(ValueError, match="key"):
            await store.get("ä")
        assert await store.entries() == ()

    async def test_the_largest_write_fits(self, case: Case) -> None:
        """All limits at once are still within what the backend takes."""
        store = await case.open()
        await store.write([put("big", bytes(CONTENT_BYTES_MAX))])
        await store.write([put(f"{number:0>255}") for number in range(CHANGES_MAX)])
        found = await store.get("big")
        assert found is not None
        assert len(found.content) == CONTENT_BYTES_MAX
        assert len(await store.entries("0")) == CHANGES_MAX

    async def test_an_edit_is_lost_to_nobody(self, case: Case) -> None:
        """Writers who change one message at the same time all find their change in it."""
        states = [State(await case.open()) for _ in range(3)]

        async def add(number: int) -> None:
            def edit(host: nouns.Host) -> None:
                host.placements.add(service=f"N{number}")

            await states[number % 3].change("host", nouns.Host, edit)

        await asyncio.gather(*(add(number) for number in range(12)))
        host = await states[0].get("host", nouns.Host)
        assert host is not None
        assert {one.service for one in host.placements} == {f"N{number}" for number in range(12)}
        assert [key async for key, _ in states[1].all("", nouns.Host)] == ["host"]

    @given(writes=st.lists(CHANGES, max_size=8))
    @settings(max_examples=25, suppress_health_check=ONE_TEST_FOR_ALL)
    async def test_any_writes_come_to_what_a_dictionary_would(
        self, case: Case, writes: list[list[Change]]
    ) -> None:
        """In their order, with deletions."""
        store = await case.open()
        if left := [Change(entry.key, None) for entry in await store.entries()]:
            await store.write(left)
        for changes in writes:
            await store.write(changes)
        found = {entry.key: entry.stored.content for entry in await store.entries()}
        assert found == _modelled(writes)


def _modelled(writes: list[list[Change]]) -> dict[str, bytes]:
    known: dict[str, bytes] = {}
    for changes in writes:
        for change in changes:
            known.pop(change.key, None)
            if change.content is not None:
                known[change.key] = change.content
    return known
