"""The promises of `services.memory.cache.tier`, as tests: one suite for both backends."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import pytest

from services.memory.cache.keeping import (
    Kept,
    Place,
    Taken,
    VersionConflict,
    Wanted,
    Write,
    epoch_ms,
)
from services.memory.cache.tier import SharedTier, Which
from tandem.memory.v1 import cache_entry_pb2 as nouns
from tandemkit.core.clock import Clock
from tandemkit.core.ids import event_id
from tandemkit.testing.clock import FakeClock

TERM_MS = 500


class Case(Protocol):
    """One backend under test, empty at first."""

    clock: FakeClock

    async def open(self) -> SharedTier:
        """The tier as one replica has it; where there is one replica alone, that."""

    async def reopen(self) -> SharedTier:
        """When every earlier one is gone."""


def write(clock: Clock, key: str = "k", value: bytes = b"v", **said: Any) -> Write:
    """Fresh for a second, and stale for half of one behind that."""
    now_ms = epoch_ms(clock)
    entry = nouns.CacheEntry(key=key, value=value, subjects=said.pop("subjects", ()))
    entry.put_time.FromMilliseconds(now_ms)
    entry.expire_time.FromMilliseconds(now_ms + said.pop("ttl_ms", 1000))
    entry.gone_time.FromMilliseconds(entry.expire_time.ToMilliseconds() + said.pop("stale_ms", 500))
    place = Place(said.pop("namespace", "default"), key)
    return Write(place, entry, now_ms, said.pop("mark", "") or event_id(), **said)


def wanted(clock: Clock, token: str = "", key: str = "k", namespace: str = "default") -> Wanted:
    return Wanted(Place(namespace, key), epoch_ms(clock), token, TERM_MS)


def value_of(taken: Taken) -> bytes | None:
    return taken.kept.entry.value if taken.kept is not None else None


class TierSuite:
    async def test_what_was_put_is_found_with_all_that_it_says(self, case: Case) -> None:
        """Value, subjects, times and version; what was not put is not there."""
        tier = await case.open()
        put = write(case.clock, value=b"\0\xff", subjects=["Ann"])
        version = await tier.put(put)
        found = (await tier.take(wanted(case.clock))).kept
        expected = nouns.CacheEntry()
        expected.CopyFrom(put.entry)
        expected.version = version
        assert found is not None
        assert found.entry == expected
        assert await tier.take(wanted(case.clock, key="other")) == Taken(None)
        assert await tier.take(wanted(case.clock, namespace="other")) == Taken(None)

    async def test_an_entry_is_fresh_stale_and_gone_to_the_millisecond(self, case: Case) -> None:
        """By the clock that the tier was given."""
        tier = await case.open()
        await tier.put(write(case.clock))
        await case.clock.advance(0.999)
        fresh = await tier.take(wanted(case.clock, "a"))
        assert (value_of(fresh), fresh.is_granted) == (b"v", False)
        await case.clock.advance(0.001)
        stale = await tier.take(wanted(case.clock, "a"))
        assert (value_of(stale), stale.is_granted) == (b"v", True)
        second = await tier.take(wanted(case.clock, "b"))
        assert (value_of(second), second.is_granted) == (b"v", False)
        await case.clock.advance(0.499)
        assert value_of(await tier.take(wanted(case.clock))) == b"v"
        await case.clock.advance(0.001)
        assert value_of(await tier.take(wanted(case.clock))) is None

    async def test_a_repeated_put_is_the_first_one(self, case: Case) -> None:
        """Known by its mark, also when its lease is gone and its expectation no longer true."""
        tier = await case.open()
        await tier.take(wanted(case.clock, "one"))
        put = write(case.clock, lease="one", mark="one", expected=0)
        version = await tier.put(put)
        assert await tier.put(put) == version

    async def test_versions_rise_and_are_compared(self, case: Case) -> None:
        """0 expects none, also one whose time is over."""
        tier, place = await case.open(), Place("default", "k")
        first = await tier.put(write(case.clock, expected=0))
        with pytest.raises(VersionConflict) as refused:
            await tier.put(write(case.clock, expected=0))
        assert refused.value.metadata["actual"] == str(first)
        second = await tier.put(write(case.clock, expected=first))
        assert second > first
        with pytest.raises(VersionConflict):
            await tier.delete(place, first, epoch_ms(case.clock))
        assert await tier.delete(place, second, epoch_ms(case.clock))
        assert not await tier.delete(place, None, epoch_ms(case.clock))
        third = await tier.put(write(case.clock, expected=0))
        assert third > second
        await case.clock.advance(1.5)
        assert await tier.put(write(case.clock, expected=0)) > third

    async def test_of_many_who_expect_one_version_one_writes(self, case: Case) -> None:
        """Over all replicas."""
        tiers = [await case.open() for _ in range(3)]
        writes = (tiers[n % 3].put(write(case.clock, expected=0)) for n in range(12))
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert sum(isinstance(one, int) for one in outcomes) == 1
        assert sum(isinstance(one, VersionConflict) for one in outcomes) == 11

    async def test_what_begins_so_goes_and_the_rest_stays(self, case: Case) -> None:
        """Taken by its letters: `*` and `?` mean themselves."""
        tier = await case.open()
        keys = ["a*/1", "a*/2", "ab/3", "a?x", "b"]
        for key in keys:
            await tier.put(write(case.clock, key))
        await tier.put(write(case.clock, "a*/1", namespace="other"))
        assert await tier.sweep(Which("default", prefix="a*/"), epoch_ms(case.clock)) == 2
        assert await _keys(tier, case, Which("default")) == ["a?x", "ab/3", "b"]
        assert await tier.sweep(Which("default"), epoch_ms(case.clock)) == 3
        assert await _keys(tier, case, Which("other")) == ["a*/1"]

    async def test_what_is_about_a_subject_is_found_and_goes(self, case: Case) -> None:
        """However its name is written; what only mentions it, if that is asked for."""
        tier = await case.open()
        await tier.put(write(case.clock, "1", subjects=["Bob", "Ann  Lee"]))
        await tier.put(write(case.clock, "2", b"met ann lee there"))
        await tier.put(write(case.clock, "3", b"nobody", subjects=["Annabel Lee"]))
        which = Which("default", subject="ANN LEE", mentions=True)
        assert await _keys(tier, case, which) == ["1", "2"]
        now_ms = epoch_ms(case.clock)
        assert await tier.sweep(Which("default", subject="ann lee"), now_ms) == 1
        assert await tier.sweep(which, now_ms) == 1
        assert await _keys(tier, case, Which("default")) == ["3"]


async def _keys(tier: SharedTier, case: Case, which: Which) -> list[str]:
    found: list[Kept] = [one async for one in tier.entries(which, epoch_ms(case.clock))]
    return sorted(one.entry.key for one in found)
