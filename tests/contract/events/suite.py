"""The promises of `tandemkit.storage.events.protocol`, as tests: one suite for all backends."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing

import pytest

from tandemkit.storage.events.protocol import (
    CONTENT_BYTES_MAX,
    EVENTS_MAX,
    Appended,
    Event,
    Head,
    IdTaken,
    NewEvent,
    Snapshot,
    StreamConflict,
)
from tandemkit.storage.events.replay import replay
from tandemkit.storage.events.verify import Verdict
from tandemkit.storage.failure import Damaged
from tests.contract.events.case import KIND, Case, contents, first, told, verdict_of
from tests.contract.events.pages import PagePromises


class StreamPromises:
    async def test_versions_count_in_a_stream_and_positions_over_all(self, case: Case) -> None:
        """Both begin at 1 and have no gap, whichever streams take turns."""
        store = await case.open()
        assert await store.append("hosts/a", told(1, 2)) == Appended(version=2, position=2)
        assert await store.append("hosts/b", told(3)) == Appended(version=1, position=3)
        assert await store.append("hosts/a", told(4)) == Appended(version=3, position=4)
        events = await store.read_all()
        assert [(one.position, one.stream, one.version) for one in events] == [
            (1, "hosts/a", 1),
            (2, "hosts/a", 2),
            (3, "hosts/b", 1),
            (4, "hosts/a", 3),
        ]
        assert [one.id for one in events] == [f"event-{number}" for number in (1, 2, 3, 4)]
        assert {one.kind for one in events} == {KIND}

    async def test_a_stream_is_read_behind_a_version(self, case: Case) -> None:
        """A page has at most the events asked for, the oldest first, and none of others."""
        store = await case.open()
        await store.append("hosts/a", told(1, 2, 3))
        await store.append("hosts/b", told(4))
        assert contents(await store.read("hosts/a", after=1, limit=1)) == ["content 2"]
        assert contents(await store.read("hosts/a", after=1)) == ["content 2", "content 3"]
        assert await store.read("hosts/nobody") == ()

    async def test_streams_are_chosen_by_the_beginning_of_their_names(self, case: Case) -> None:
        """Read over all streams keeps the global order and leaves other names out."""
        store = await case.open()
        for number, stream in enumerate(("hosts/a", "policy", "hosts/b", "host"), 1):
            await store.append(stream, told(number))
        assert [one.stream for one in await store.read_all(prefix="hosts/")] == [
            "hosts/a",
            "hosts/b",
        ]
        assert [one.stream for one in await store.read_all(after=1, prefix="hosts/")] == ["hosts/b"]

    async def test_m045_a_writer_who_knew_another_version_writes_nothing(self, case: Case) -> None:
        """The refusal says which version there is."""
        store = await case.open()
        await store.append("hosts/a", told(1), expected=0)
        with pytest.raises(StreamConflict) as refused:
            await store.append("hosts/a", told(2), expected=0)
        assert refused.value.actual == 1
        await store.append("hosts/a", told(3), expected=1)
        assert contents(await store.read("hosts/a")) == ["content 1", "content 3"]

    async def test_m045_of_many_writers_with_one_expectation_one_wins(self, case: Case) -> None:
        """All others conflict, and every winner's events are there once and together."""
        stores = [await case.open() for _ in range(4)]

        async def write(number: int) -> str:
            events = told(number * 2, number * 2 + 1)
            try:
                await stores[number % 4].append("hosts/a", events, expected=0)
            except StreamConflict:
                return "conflict"
            return "won"

        outcomes = await asyncio.gather(*(write(number) for number in range(20)))
        assert Counter(outcomes) == {"won": 1, "conflict": 19}
        winner = outcomes.index("won")
        expected = [f"content {winner * 2}", f"content {winner * 2 + 1}"]
        assert contents(await stores[0].read("hosts/a")) == expected

    async def test_writers_of_one_stream_all_get_in_without_an_expectation(
        self, case: Case
    ) -> None:
        """Appends do not mix: the events of each stand behind each other."""
        stores = [await case.open() for _ in range(4)]
        await asyncio.gather(
            *(stores[one % 4].append("hosts/a", told(2 * one, 2 * one + 1)) for one in range(25))
        )
        numbers = [int(text.split()[1]) for text in contents(await stores[0].read("hosts/a"))]
        assert sorted(numbers) == list(range(50))
        assert all(odd == even + 1 for even, odd in zip(numbers[::2], numbers[1::2], strict=True))

    async def test_what_was_acknowledged_is_there_after_a_restart(self, case: Case) -> None:
        """Versions and positions go on where they were."""
        store = await case.open()
        await store.append("hosts/a", told(1, 2))
        again = await case.reopen()
        assert contents(await again.read("hosts/a")) == ["content 1", "content 2"]
        assert await again.append("hosts/a", told(3), expected=2) == Appended(3, 3)


class RetryPromises:
    async def test_an_append_that_is_sent_twice_counts_once(self, case: Case) -> None:
        """Its second answer is the first one's, also with the expectation of before."""
        store = await case.open()
        done = await store.append("hosts/a", told(1, 2), expected=0)
        await store.append("hosts/a", told(3))
        assert await store.append("hosts/a", told(1, 2), expected=0) == done
        assert len(await store.read("hosts/a")) == 3

    async def test_both_of_two_at_once_hear_of_the_one_write(self, case: Case) -> None:
        """A retry that overtakes is no second event."""
        stores = [await case.open() for _ in range(2)]
        answers = await asyncio.gather(*(one.append("hosts/a", told(1)) for one in stores * 3))
        assert set(answers) == {Appended(1, 1)}

    @pytest.mark.parametrize(
        ("stream", "event"),
        [
            ("hosts/b", NewEvent("event-1", KIND, b"content 1")),
            ("hosts/a", NewEvent("event-1", KIND, b"other")),
            ("hosts/a", NewEvent("event-1", "tandem.trial.v1.Other", b"content 1")),
        ],
    )
    async def test_an_id_is_of_one_event(self, case: Case, stream: str, event: NewEvent) -> None:
        """Another event with it, or the same one elsewhere, is refused whole."""
        store = await case.open()
        await store.append("hosts/a", told(1))
        with pytest.raises(IdTaken):
            await store.append(stream, [NewEvent("event-9", KIND, b""), event])
        assert len(await store.read_all()) == 1

    async def test_bad_input_is_refused_before_anything_is_done(self, case: Case) -> None:
        """Names, sizes and counts that no backend takes are the caller's mistake."""
        store = await case.open()
        big = NewEvent("event-1", KIND, bytes(CONTENT_BYTES_MAX + 1))
        bad = [("", told(1)), ("hosts/a\n", told(1)), ("hosts/a", []), ("hosts/a", told(1, 1))]
        bad += [("hosts/a", [big]), ("hosts/a", told(*range(EVENTS_MAX + 1)))]
        for stream, events in bad:
            with pytest.raises(ValueError, match=r"event|name|append"):
                await store.append(stream, events)
        with pytest.raises(ValueError, match="page"):
            await store.read_all(limit=0)
        assert await store.head() == Head(0, bytes(32))


class FollowerPromises:
    async def test_a_follower_sees_what_was_and_what_comes(self, case: Case) -> None:
        """In order, without a gap, whoever writes."""
        store, other = await case.open(), await case.open()
        await store.append("hosts/a", told(1, 2))
        async with asyncio.timeout(20), aclosing(store.follow()) as events:
            seen = [await anext(events), await anext(events)]
            for number in range(3, 8):
                await other.append(f"hosts/{number}", told(number))
                seen.append(await anext(events))
        assert contents(tuple(seen)) == [f"content {number}" for number in range(1, 8)]

    async def test_many_writers_leave_a_follower_no_gap(self, case: Case) -> None:
        """Positions become visible in their order, or a follower would pass over one."""
        stores = [await case.open() for _ in range(4)]

        async def write(store_number: int) -> None:
            for number in range(20):
                event = told(store_number * 20 + number)
                await stores[store_number].append(f"hosts/{store_number}", event)

        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            follower = group.create_task(first(stores[0], 80))
            of_one = group.create_task(first(stores[0], 20, 0, "hosts/3"))
            for number in range(4):
                group.create_task(write(number))
        assert [event.position for event in follower.result()] == list(range(1, 81))
        assert [event.version for event in of_one.result()] == list(range(1, 21))

    async def test_a_follower_goes_on_behind_what_it_saw(self, case: Case) -> None:
        """With a prefix too: it has only streams of that name."""
        store = await case.open()
        for number, stream in enumerate(("hosts/a", "policy", "hosts/b"), 1):
            await store.append(stream, told(number))
        async with asyncio.timeout(20):
            assert [one.stream for one in await first(store, 1, 1, "hosts/")] == ["hosts/b"]


class StatePromises:
    async def test_the_latest_snapshot_counts(self, case: Case) -> None:
        """One of a lower version changes nothing; one ahead of its stream is refused."""
        store = await case.open()
        await store.append("hosts/a", told(1, 2))
        assert await store.snapshot("hosts/a") is None
        two, one = (Snapshot("hosts/a", version, KIND, bytes([version])) for version in (2, 1))
        await store.keep_snapshot(two)
        await store.keep_snapshot(one)
        assert await store.snapshot("hosts/a") == two
        with pytest.raises(StreamConflict):
            await store.keep_snapshot(Snapshot("hosts/a", 3, KIND, b""))

    async def test_m045_replay_rebuilds_state_byte_for_byte(self, case: Case) -> None:
        """From the first event, from a snapshot, and after a restart."""
        store = await case.open()
        for number in range(1, 30):
            await store.append("hosts/a", told(number))
        whole, version = await replay(store, "hosts/a", _start, _step)
        assert version == 29
        half = b"".join(f"content {number}".encode() for number in range(1, 16))
        await store.keep_snapshot(Snapshot("hosts/a", 15, KIND, half))
        again = await case.reopen()
        assert await replay(again, "hosts/a", _start, _step) == (whole, 29)


class ChainPromises:
    async def test_what_is_whole_is_found_whole(self, case: Case) -> None:
        """Up to its head, which is that of the last event."""
        store = await case.open()
        await store.append("hosts/a", told(1, 2, 3))
        found = await verdict_of(store)
        assert found == Verdict(await store.head())
        assert (await store.head()).position == 3

    @pytest.mark.parametrize(
        "change",
        [
            "content = CAST('content X' AS {bytes})",
            "kind = 'tandem.trial.v1.Other'",
            "stream = 'hosts/z'",
            "version = 9",
            "id = 'event-X'",
            "time_us = time_us + 1",
            "digest = (SELECT digest FROM events WHERE position = 1)",
        ],
    )
    async def test_any_change_is_found_where_it_is(self, case: Case, change: str) -> None:
        """Every column of an event is in its digest."""
        store = await case.open()
        await store.append("hosts/a", told(1, 2, 3))
        await case.spoil(f"UPDATE events SET {change} WHERE position = 2")
        found = await verdict_of(store)
        assert found.broken is not None
        assert found.broken.position == 2

    async def test_a_lost_event_is_found(self, case: Case) -> None:
        """One in between by its place, the last one by the head."""
        store = await case.open()
        await store.append("hosts/a", told(1, 2, 3))
        for position in (3, 2):
            await case.spoil(f"DELETE FROM events WHERE position = {position}")
            found = await verdict_of(store)
            assert found.broken is not None
            assert found.broken.position == position

    async def test_a_chain_made_anew_is_found_by_a_head_that_was_noted(self, case: Case) -> None:
        """Whoever rewrites everything cannot rewrite what somebody else wrote down."""
        store = await case.open()
        await store.append("hosts/a", told(1, 2, 3))
        noted = await store.head()
        assert await verdict_of(store, noted) == Verdict(noted)
        other = Head(2, bytes(32))
        found = await verdict_of(store, other)
        assert found.broken is not None
        assert found.broken.position == 2
        later = await verdict_of(store, Head(9, bytes(32)))
        assert later.broken is not None
        assert later.broken.position == 4

    async def test_a_spoilt_snapshot_is_not_handed_out(self, case: Case) -> None:
        """State that would grow from it is wrong for ever."""
        store = await case.open()
        await store.append("hosts/a", told(1))
        await store.keep_snapshot(Snapshot("hosts/a", 1, KIND, b"state"))
        await case.spoil("UPDATE snapshots SET content = CAST('State' AS {bytes})")
        with pytest.raises(Damaged):
            await store.snapshot("hosts/a")


class EventStoreSuite(
    StreamPromises, PagePromises, RetryPromises, FollowerPromises, StatePromises, ChainPromises
):
    """What every backend promises. Its test module has a class with a fixture `case`."""


def _start(snapshot: Snapshot | None) -> bytes:
    return snapshot.content if snapshot else b""


def _step(state: bytes, event: Event) -> bytes:
    return state + event.content
