"""Rivals at the same moment, through different clients: it ends as in some order of theirs."""

from __future__ import annotations

import asyncio

from tandemkit.registry.protocol import (
    Leadership,
    LeadershipLost,
    Lease,
    LeaseLost,
    Registry,
    Versioned,
)
from tests.contract.registry.case import Case, until, watching
from tests.contract.registry.leases import LONG_TTL_S


class RacePromises:
    """For every backend."""

    async def test_of_rival_leases_of_one_owner_one_lives(self, case: Case) -> None:
        """Several who open a lease for the same owner: one can be renewed, the others are lost."""
        clients = [await case.open() for _ in range(4)]
        leases = await asyncio.gather(
            *(clients[number % 4].open_lease("host-a", LONG_TTL_S) for number in range(8))
        )
        assert len({lease.id for lease in leases}) == 8
        alive = [lease for lease in leases if await _is_alive(clients[0], lease)]
        assert len(alive) == 1
        await clients[1].register(alive[0], "agents/one", b"a")
        async with watching(case, clients[2]) as watched:
            assert watched.values() == {"agents/one": b"a"}

    async def test_of_rival_holders_of_one_key_the_newest_stands(self, case: Case) -> None:
        """Whatever the order in which they register at the same moment, and however often."""
        clients = [await case.open() for _ in range(4)]
        leases = [
            await clients[number % 4].open_lease(f"host-{number}", LONG_TTL_S)
            for number in range(6)
        ]
        async with watching(case, clients[0]) as watched:
            await asyncio.gather(
                *(
                    clients[turn % 4].register(leases[turn % 6], "agents/one", b"%d" % turn)
                    for turn in range(24)
                )
            )
            await clients[0].register(leases[0], "end", b"")
            await until(case, lambda: "end" in watched.view)
            assert watched.view["agents/one"].owner == "host-5"

    async def test_a_leader_and_its_successor_do_not_both_write(self, case: Case) -> None:
        """At the moment of succession each write is refused or comes before the later token."""
        clients = [await case.open() for _ in range(2)]
        for turn in range(5):
            former = await clients[0].elect("planner", "control-a", LONG_TTL_S)
            assert former
            leader, late = await asyncio.gather(
                clients[1].elect("planner", "control-a", LONG_TTL_S),
                _version(clients[0], b"former %d" % turn, former),
            )
            assert leader
            version = await clients[1].put("plan", b"leader %d" % turn, leadership=leader)
            assert late is None or late < version
            found = await clients[0].get("plan")
            assert found == Versioned(b"leader %d" % turn, version)


async def _version(registry: Registry, value: bytes, leadership: Leadership) -> int | None:
    """None where the write is refused."""
    try:
        return await registry.put("plan", value, leadership=leadership)
    except LeadershipLost:
        return None


async def _is_alive(registry: Registry, lease: Lease) -> bool:
    try:
        await registry.renew(lease)
    except LeaseLost:
        return False
    return True
