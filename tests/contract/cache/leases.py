"""What `services.memory.cache.tier` promises of leases, as tests: one suite for both backends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.memory.cache.keeping import LeaseLost, Place, Taken, epoch_ms
from services.memory.cache.tier import Which
from tandemkit.core.ids import event_id
from tests.contract.cache.suite import TERM_MS, Case, value_of, wanted, write


class LeaseSuite:
    async def test_of_all_who_miss_a_key_one_gets_the_lease(self, case: Case) -> None:
        """Over all replicas; a retry with its token gets it again, and after its term another."""
        tiers = [await case.open() for _ in range(3)]
        asked = [tiers[n % 3].take(wanted(case.clock, f"token-{n}")) for n in range(60)]
        taken = await asyncio.gather(*asked)
        assert sum(one.is_granted for one in taken) == 1
        assert {one.lease_ms for one in taken} == {TERM_MS}
        holder = [one.is_granted for one in taken].index(True)
        await case.clock.advance(0.1)
        again = await tiers[0].take(wanted(case.clock, f"token-{holder}"))
        assert again == Taken(None, is_granted=True, lease_ms=TERM_MS - 100)
        await case.clock.advance(0.399)
        assert not (await tiers[1].take(wanted(case.clock, "next"))).is_granted
        await case.clock.advance(0.001)
        assert (await tiers[1].take(wanted(case.clock, "next"))).is_granted

    async def test_who_looks_while_a_key_is_filled_gets_no_lease(self, case: Case) -> None:
        """At no moment between the lease and the entry there is neither."""
        tiers = [await case.open() for _ in range(2)]
        for number in range(20):
            key = f"k{number}"
            await tiers[0].take(wanted(case.clock, "holder", key))
            takes = (tiers[n % 2].take(wanted(case.clock, f"other-{n}", key)) for n in range(40))
            put = tiers[0].put(write(case.clock, key, lease="holder"))
            _, taken = await asyncio.gather(put, asyncio.gather(*takes))
            assert not any(one.is_granted for one in taken)

    async def test_of_two_who_put_with_one_lease_one_does(self, case: Case) -> None:
        """Also at the same moment."""
        tier = await case.open()
        await tier.take(wanted(case.clock, "one"))
        puts = (tier.put(write(case.clock, lease="one")) for _ in range(5))
        outcomes = await asyncio.gather(*puts, return_exceptions=True)
        assert sum(isinstance(one, LeaseLost) for one in outcomes) == 4

    async def test_a_lease_that_is_over_puts_nothing(self, case: Case) -> None:
        """Neither after its term, nor with another's token, nor when it was used."""
        tier = await case.open()
        await tier.take(wanted(case.clock, "one"))
        with pytest.raises(LeaseLost):
            await tier.put(write(case.clock, lease="two"))
        await case.clock.advance(0.5)
        with pytest.raises(LeaseLost):
            await tier.put(write(case.clock, lease="one"))
        assert value_of(await tier.take(wanted(case.clock, "two"))) is None
        await tier.put(write(case.clock, lease="two"))
        with pytest.raises(LeaseLost):
            await tier.put(write(case.clock, value=b"late", lease="two"))
        assert value_of(await tier.take(wanted(case.clock))) == b"v"

    async def test_what_a_filler_read_before_a_deletion_is_not_put(self, case: Case) -> None:
        """Of the key, of its beginning, and of a subject, which may be in anything."""
        tier = await case.open()
        deletions: list[Callable[[], Awaitable[object]]] = [
            lambda: tier.delete(Place("default", "k"), None, epoch_ms(case.clock)),
            lambda: tier.sweep(Which("default", prefix="k"), epoch_ms(case.clock)),
            lambda: tier.sweep(Which("default", subject="Ann"), epoch_ms(case.clock)),
            lambda: tier.put(write(case.clock, value=b"newer", ttl_ms=1, stale_ms=0)),
        ]
        for delete in deletions:
            token = event_id()
            assert (await tier.take(wanted(case.clock, token))).is_granted
            await delete()
            with pytest.raises(LeaseLost):
                await tier.put(write(case.clock, value=b"older", lease=token))
            await case.clock.advance(0.001)

    async def test_a_lease_given_back_is_the_next_ones(self, case: Case) -> None:
        """By who holds it alone."""
        tier, place = await case.open(), Place("default", "k")
        await tier.take(wanted(case.clock, "one"))
        await tier.release(place, "two")
        assert not (await tier.take(wanted(case.clock, "two"))).is_granted
        await tier.release(place, "one")
        assert (await tier.take(wanted(case.clock, "two"))).is_granted
