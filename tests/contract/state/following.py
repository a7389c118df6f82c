"""What a store of state promises to who follows it, as tests: one suite for all backends."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandemkit.storage.state.protocol import (
    CHANGES_MAX,
    GONE_MAX,
    Change,
    Changed,
    Forgotten,
    Stored,
)
from tests.contract.state.suite import CHANGES, ONE_TEST_FOR_ALL, Case, put


class FollowingSuite:
    async def test_many_are_found_at_once(self, case: Case) -> None:
        """Those that are there, each once."""
        store = await case.open()
        version = await store.write([put("a", b"1"), put("b", b"")])
        wanted = {"a": Stored(b"1", version), "b": Stored(b"", version)}
        assert await store.found(["b", "a", "c", "a"]) == wanted
        assert await store.found([]) == {}
        with pytest.raises(ValueError, match="1000"):
            await store.found(["a"] * 1001)

    async def test_what_changed_since_a_version_is_told_in_order(self, case: Case) -> None:
        """Deletions too, whoever wrote; nothing where nothing did, and all from the beginning."""
        store, other = await case.open(), await case.open()
        first = await store.write([put("a", b"1"), put("b", b"1")])
        second = await other.write([put("c", b"2"), Change("a", None), Change("never", None)])
        third = await store.write([put("b", b"3")])
        told = await store.changed(first)
        assert (told.upto, told.is_last) == (third, True)
        assert sorted(told.changed[:2], key=lambda one: one.key) == [
            Changed("a", None, second),
            Changed("c", b"2", second),
        ]
        assert told.changed[2:] == (Changed("b", b"3", third),)
        assert (await other.changed(third)).changed == ()
        again = await (await case.reopen()).changed()
        assert {one.key: one.content for one in again.changed if one.content} == {
            "b": b"3",
            "c": b"2",
        }

    async def test_a_page_of_changes_holds_whole_writes(self, case: Case) -> None:
        """However many there are, who follows page by page hears all."""
        store = await case.open()
        for turn in range(4):
            await store.write([put(f"{turn}/{number}") for number in range(CHANGES_MAX)])
        heard, since, is_last = [], 0, False
        while not is_last:
            told = await store.changed(since, limit=CHANGES_MAX + 50)
            heard += [one.key for one in told.changed]
            since, is_last = told.upto, told.is_last
        assert sorted(heard) == [entry.key for entry in await store.entries()]
        assert [key.partition("/")[0] for key in heard] == sorted(
            key.partition("/")[0] for key in heard
        )

    async def test_deletions_beyond_the_known_ones_are_forgotten(self, case: Case) -> None:
        """And who would miss one is told so; who begins anew, or knows them, is not."""
        store = await case.open()
        first = last = await store.write([put("a")])
        for start in range(0, GONE_MAX + 300, CHANGES_MAX):
            keys = [f"k{start + number}" for number in range(CHANGES_MAX)]
            await store.write([put(key) for key in keys])
            last = await store.write([Change(key, None) for key in keys])
        with pytest.raises(Forgotten):
            await store.changed(first)
        assert (await store.changed(last)).changed == ()
        assert "a" in {one.key for one in (await store.changed()).changed}

    async def test_who_heard_what_is_scrubbed_goes_on_behind_it(self, case: Case) -> None:
        """What was deleted since then is told; nobody begins anew for another one's deletion."""
        store = await case.open()
        await store.write([put("a"), put("b")])
        heard = await store.write([Change("a", None)])
        since = await store.write([Change("b", None)])
        await store.scrub(upto=heard)
        assert (await store.changed(heard)).changed == (Changed("b", None, since),)

    @given(writes=st.lists(CHANGES, max_size=8))
    @settings(max_examples=15, suppress_health_check=ONE_TEST_FOR_ALL)
    async def test_who_follows_knows_what_is_there(
        self, case: Case, writes: list[list[Change]]
    ) -> None:
        """After any writes, from any version of before."""
        store = await case.open()
        since = (await store.changed()).upto
        known = {entry.key: entry.stored for entry in await store.entries()}
        for turn, changes in enumerate(writes):
            await store.write(changes)
            if turn % 2:
                continue
            told = await store.changed(since)
            since = told.upto
            for one in told.changed:
                known.pop(one.key, None)
                if one.content is not None:
                    known[one.key] = Stored(one.content, one.version)
            assert known == {entry.key: entry.stored for entry in await store.entries()}
