"""The promises of `tandemkit.storage.queue.protocol`, as tests: one suite for all backends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count
from typing import Protocol

import pytest

from tandemkit.core.clock import stopwatch_s
from tandemkit.storage.queue.places import Queues
from tandemkit.storage.queue.protocol import (
    CONTENT_BYTES_MAX,
    REDELIVERY_S_MAX,
    TOO_OFTEN,
    Delivery,
    Depth,
    Message,
    Queue,
)

# Each test has queues of its own: a broker keeps what another one left.
_NAMES = count()
ATTEMPTS_MAX = 4
_PAUSE = threading.Event()
# Long enough for what is to come, and short enough to see that nothing does.
WITHIN_S, MOMENT_S = 2 * REDELIVERY_S_MAX, 0.4


class Case(Protocol):
    """One backend under test. The fixture `case` yields it, and closes what it opened."""

    async def open(self) -> Queues:
        """A client as another process would have one; where one process owns the queues, the one
        that there is.
        """

    async def reopen(self) -> Queues:
        """A client of what is kept, when every earlier one is gone."""


def new_name() -> str:
    return f"suite-{next(_NAMES)}"


def named(queues: Queues, name: str = "") -> Queue:
    return queues.queue(name or new_name(), ATTEMPTS_MAX)


async def next_of(deliveries: AsyncIterator[Delivery], within_s: float = WITHIN_S) -> Delivery:
    async with asyncio.timeout(within_s):
        return await anext(deliveries)


async def nothing_from(deliveries: AsyncIterator[Delivery]) -> None:
    with pytest.raises(TimeoutError):
        await next_of(deliveries, MOMENT_S)


async def until_depth(queue: Queue, depth: Depth) -> None:
    """A broker may count with a delay."""
    found = await queue.depth()
    for _ in range(200):
        if found == depth:
            return
        await asyncio.to_thread(_PAUSE.wait, 0.05)
        found = await queue.depth()
    assert found == depth


class QueueSuite:
    async def test_what_is_published_is_handed_out_in_order_and_goes_when_it_is_done(
        self, case: Case
    ) -> None:
        """With its id, its content and the number of the attempt."""
        queue = named(await case.open())
        for number in range(5):
            await queue.publish(f"id-{number}", bytes([number, 0, 255]))
        await until_depth(queue, Depth(5, 0))
        async with queue.consume(2) as deliveries:
            for number in range(5):
                delivery = await next_of(deliveries)
                assert delivery.message == Message(f"id-{number}", bytes([number, 0, 255]), 1)
                await delivery.ack()
            await until_depth(queue, Depth(0, 0))
            await nothing_from(deliveries)

    async def test_a_consumer_has_no_more_than_it_asked_for(self, case: Case) -> None:
        """A slow one is not flooded: each that it settles makes room for one."""
        queue = named(await case.open())
        for number in range(6):
            await queue.publish(f"id-{number}", b"")
        async with queue.consume(3) as deliveries:
            taken = [await next_of(deliveries) for _ in range(3)]
            await nothing_from(deliveries)
            await taken[0].ack()
            await taken[1].ack()
            later = [await next_of(deliveries) for _ in range(2)]
            await nothing_from(deliveries)
            assert [one.message.id for one in later] == ["id-3", "id-4"]
            for one in (taken[2], *later):
                await one.ack()
            await (await next_of(deliveries)).ack()
            await until_depth(queue, Depth(0, 0))

    async def test_what_is_tried_again_comes_after_its_delay(self, case: Case) -> None:
        """And others come meanwhile."""
        queue = named(await case.open())
        await queue.publish("first", b"1")
        async with queue.consume(1) as deliveries:
            first = await next_of(deliveries)
            began_s = stopwatch_s()
            await first.retry(1.2)
            await queue.publish("second", b"2")
            await (await next_of(deliveries)).ack()
            again = await next_of(deliveries)
            took_s = stopwatch_s() - began_s
            assert again.message == Message("first", b"1", 2)
            assert 1.1 <= took_s < 5
            await again.retry(0)
            third = await next_of(deliveries)
            assert third.message == Message("first", b"1", 3)
            await third.ack()

    async def test_what_is_published_for_later_comes_then(self, case: Case) -> None:
        """Also if the consumer was there before, and behind what was published after it."""
        queue = named(await case.open())
        async with queue.consume(4) as deliveries:
            began_s = stopwatch_s()
            await queue.publish("later", b"", delay_s=1.0)
            await queue.publish("now", b"")
            await until_depth(queue, Depth(2, 0))
            now, later = await next_of(deliveries), await next_of(deliveries)
            assert (now.message.id, later.message.id) == ("now", "later")
            assert stopwatch_s() - began_s >= 0.9
            assert later.message.attempt == 1
            await now.ack()
            await later.ack()


class FateSuite:
    """What becomes of messages that nobody acknowledges."""

    async def test_a_buried_message_is_a_dead_letter_until_it_is_revived(self, case: Case) -> None:
        """With the reason; then it begins anew."""
        queue = named(await case.open())
        await queue.publish("good", b"1")
        await queue.publish("bad", b"2")
        async with queue.consume(2) as deliveries:
            await (await next_of(deliveries)).ack()
            await (await next_of(deliveries)).bury("it is\nbad")
            await until_depth(queue, Depth(0, 1))
            (dead,) = await queue.dead()
            assert dead.message == Message("bad", b"2", 1)
            assert dead.why.split() == ["it", "is", "bad"]
            await nothing_from(deliveries)
            assert await queue.dead() == (dead,)
            assert await queue.revive() == 1
            revived = await next_of(deliveries)
            assert revived.message == Message("bad", b"2", 1)
            await revived.ack()
        await until_depth(queue, Depth(0, 0))
        assert await queue.revive() == 0

    async def test_what_never_succeeds_becomes_a_dead_letter(self, case: Case) -> None:
        """After as many attempts as the queue allows; the others go on."""
        queue = named(await case.open())
        await queue.publish("poison", b"")
        async with queue.consume(1) as deliveries:
            for attempt in range(1, ATTEMPTS_MAX + 1):
                delivery = await next_of(deliveries)
                assert delivery.message.attempt == attempt
                await delivery.retry(0)
            await queue.publish("other", b"")
            other = await next_of(deliveries)
            assert other.message.id == "other"
            await other.ack()
            await until_depth(queue, Depth(0, 1))
        (dead,) = await queue.dead()
        assert (dead.message.id, dead.why) == ("poison", TOO_OFTEN)

    async def test_what_a_consumer_left_is_handed_out_again(self, case: Case) -> None:
        """One that ends without a word had it once."""
        queue = named(await case.open())
        await queue.publish("one", b"")
        async with queue.consume(1) as deliveries:
            await next_of(deliveries)
        async with queue.consume(1) as deliveries:
            again = await next_of(deliveries)
            assert (again.message.id, again.message.attempt) == ("one", 2)
            await again.ack()
        await until_depth(queue, Depth(0, 0))

    async def test_what_kills_each_of_its_consumers_becomes_a_dead_letter(self, case: Case) -> None:
        """Though nobody lives to say so."""
        queue = named(await case.open())
        await queue.publish("poison", b"")
        for _ in range(ATTEMPTS_MAX):
            async with queue.consume(1) as deliveries:
                await next_of(deliveries)
        async with queue.consume(1):
            await until_depth(queue, Depth(0, 1))

    async def test_consumers_share_a_queue(self, case: Case) -> None:
        """Each message is one's alone."""
        queues = await case.open()
        name = new_name()
        one, other = named(queues, name), named(await case.open(), name)
        async with one.consume(1) as mine, other.consume(1) as theirs:
            await one.publish("a", b"")
            await one.publish("b", b"")
            first, second = await next_of(mine), await next_of(theirs)
            assert {first.message.id, second.message.id} == {"a", "b"}
            await first.ack()
            await second.ack()
        await until_depth(one, Depth(0, 0))

    async def test_queues_do_not_see_each_other(self, case: Case) -> None:
        """One backend has as many as one likes."""
        queues = await case.open()
        one, other = named(queues), named(queues)
        await one.publish("a", b"")
        async with other.consume(1) as deliveries:
            await nothing_from(deliveries)
        await until_depth(one, Depth(1, 0))

    async def test_what_was_published_survives_its_publisher(self, case: Case) -> None:
        """Delayed, dead and taken ones too."""
        name = new_name()
        queue = named(await case.open(), name)
        for each in ("dead", "taken", "ready"):
            await queue.publish(each, b"")
        await queue.publish("later", b"", delay_s=0.5)
        async with queue.consume(2) as deliveries:
            await (await next_of(deliveries)).bury("why not")
            await next_of(deliveries)
        queue = named(await case.reopen(), name)
        assert [one.message.id for one in await queue.dead()] == ["dead"]
        async with queue.consume(3) as deliveries:
            found = [await next_of(deliveries) for _ in range(3)]
            assert {one.message.id for one in found} == {"taken", "ready", "later"}
            for one in found:
                await one.ack()
        await until_depth(queue, Depth(0, 1))

    async def test_one_that_is_published_twice_leaves_nothing_behind(self, case: Case) -> None:
        """It comes once or twice, and each is settled by itself."""
        queue = named(await case.open())
        await queue.publish("twin", b"")
        await queue.publish("twin", b"")
        async with queue.consume(1) as deliveries:
            with suppress(TimeoutError):
                for _ in range(2):
                    twin = await next_of(deliveries, WITHIN_S / 4)
                    assert (twin.message.id, twin.message.attempt) == ("twin", 1)
                    await twin.ack()
            await until_depth(queue, Depth(0, 0))

    async def test_giving_up_waiting_loses_nothing(self, case: Case) -> None:
        """Whoever waits may be cancelled, and wait again."""
        queue = named(await case.open())
        async with queue.consume(1) as deliveries:
            await nothing_from(deliveries)
            await queue.publish("one", b"")
            await (await next_of(deliveries)).ack()

    async def test_what_no_backend_takes_is_refused(self, case: Case) -> None:
        """At once, and nothing is done."""
        queues = await case.open()
        with pytest.raises(ValueError, match="name"):
            queues.queue("No Name", 1)
        queue = named(queues)
        for message_id, content, delay_s in (
            ("", b"", 0.0),
            ("a b", b"", 0.0),
            ("a", bytes(CONTENT_BYTES_MAX + 1), 0.0),
            ("a", b"", -1.0),
        ):
            with pytest.raises(ValueError, match=r"not a|exceeds|delay"):
                await queue.publish(message_id, content, delay_s)
        with pytest.raises(ValueError, match="consumer"):
            async with queue.consume(0):
                pass
        assert await queue.depth() == Depth(0, 0)
