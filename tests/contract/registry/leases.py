"""Leases and what is registered under them."""

from __future__ import annotations

import pytest

from tandemkit.registry.protocol import Entry, LeaseLost
from tests.contract.registry.case import Case, outlive, until, watching

LONG_TTL_S = 600.0


class LeasePromises:
    """For every backend."""

    async def test_a_registration_is_seen_by_every_client(self, case: Case) -> None:
        """What one control registers, another one knows, with its owner."""
        mine, other = await case.open(), await case.open()
        lease = await mine.open_lease("host-a", LONG_TTL_S)
        async with watching(case, other) as watched:
            await mine.register(lease, "agents/one", b"at a")
            await until(case, lambda: "agents/one" in watched.view)
            assert watched.view["agents/one"] == Entry("agents/one", b"at a", "host-a")

    async def test_what_is_not_renewed_ends(self, case: Case) -> None:
        """A lease that runs out takes all its registrations along, and no others."""
        registry = await case.open()
        lease = await registry.open_lease("frozen", case.ttl_s)
        well = await registry.open_lease("well", LONG_TTL_S)
        await registry.register(well, "stays", b"")
        async with watching(case, registry) as watched:
            await registry.register(lease, "goes/one", b"1")
            await registry.register(lease, "goes/two", b"2")
            await until(case, lambda: len(watched.view) == 3)
            await until(case, lambda: set(watched.view) == {"stays"})
        with pytest.raises(LeaseLost):
            await registry.renew(lease)
        with pytest.raises(LeaseLost):
            await registry.register(lease, "goes/one", b"1")
        await registry.renew(well)

    async def test_a_renewed_lease_lives_on(self, case: Case) -> None:
        """Renewals hold a lease far beyond its time to live, and watchers hear nothing of it."""
        registry = await case.open()
        lease = await registry.open_lease("well", case.ttl_s)
        await registry.register(lease, "stays", b"")
        async with watching(case, registry) as watched:
            for _ in range(6):
                await case.clock.sleep(case.ttl_s / 2)
                await registry.renew(lease)
            assert set(watched.view) == {"stays"}
            assert len(watched.events) == 1

    async def test_a_closed_lease_takes_its_registrations(self, case: Case) -> None:
        """Closing removes at once, and closing again is harmless."""
        registry = await case.open()
        lease = await registry.open_lease("leaves", LONG_TTL_S)
        await registry.register(lease, "goes", b"")
        async with watching(case, registry) as watched:
            assert set(watched.view) == {"goes"}
            await registry.close_lease(lease)
            await until(case, lambda: not watched.view)
        await registry.close_lease(lease)
        with pytest.raises(LeaseLost):
            await registry.renew(lease)

    async def test_an_owner_who_opens_again_ends_the_older_lease(self, case: Case) -> None:
        """A restarted host begins with nothing, and its former self has lost."""
        first, second = await case.open(), await case.open()
        older = await first.open_lease("host-a", LONG_TTL_S)
        await first.register(older, "was", b"")
        async with watching(case, first) as watched:
            newer = await second.open_lease("host-a", LONG_TTL_S)
            await until(case, lambda: not watched.view)
            with pytest.raises(LeaseLost):
                await first.renew(older)
            with pytest.raises(LeaseLost):
                await first.register(older, "was", b"")
            await first.close_lease(older)
            await second.renew(newer)
            await second.register(newer, "is", b"")
            await until(case, lambda: set(watched.view) == {"is"})

    async def test_the_newest_lease_wins_a_key(self, case: Case) -> None:
        """The older holder gives way, and does not get the key back by registering later."""
        registry = await case.open()
        older = await registry.open_lease("host-a", LONG_TTL_S)
        newer = await registry.open_lease("host-b", LONG_TTL_S)
        await registry.register(older, "agents/one", b"a")
        async with watching(case, registry) as watched:
            await registry.register(newer, "agents/one", b"b")
            await until(case, lambda: watched.view["agents/one"].owner == "host-b")
            await registry.register(older, "agents/one", b"a")
            await registry.deregister(older, "agents/one")
            await registry.close_lease(older)
            await registry.register(newer, "agents/last", b"")
            await until(case, lambda: "agents/last" in watched.view)
            assert watched.values() == {"agents/one": b"b", "agents/last": b""}

    async def test_a_registration_can_be_taken_back(self, case: Case) -> None:
        """Deregistering removes one key; again, or what never was, is harmless."""
        registry = await case.open()
        lease = await registry.open_lease("host-a", LONG_TTL_S)
        await registry.register(lease, "goes", b"")
        await registry.register(lease, "stays", b"")
        async with watching(case, registry) as watched:
            await registry.deregister(lease, "goes")
            await until(case, lambda: set(watched.view) == {"stays"})
            await registry.deregister(lease, "goes")
            await registry.deregister(lease, "never-was")
        await registry.close_lease(lease)
        await registry.deregister(lease, "stays")

    async def test_a_short_lease_ends_before_a_long_one(self, case: Case) -> None:
        """A lease opened later with less time does not wait for the one before it."""
        registry = await case.open()
        long = await registry.open_lease("long", LONG_TTL_S)
        short = await registry.open_lease("short", case.ttl_s)
        await outlive(case, case.ttl_s)
        with pytest.raises(LeaseLost):
            await registry.renew(short)
        await registry.renew(long)
