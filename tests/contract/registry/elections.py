"""Elections: one leader at a time, and tokens by which a late one is known."""

from __future__ import annotations

import asyncio

import pytest

from tandemkit.registry.protocol import LeadershipLost, Registry
from tests.contract.registry.case import Case, outlive
from tests.contract.registry.leases import LONG_TTL_S


class ElectionPromises:
    """For every backend."""

    async def test_one_of_many_candidates_leads(self, case: Case) -> None:
        """Of candidates who ask at the same moment exactly one is elected."""
        clients = [await case.open() for _ in range(3)]
        asked = await asyncio.gather(
            *(
                clients[number % 3].elect("planner", f"control-{number}", LONG_TTL_S)
                for number in range(9)
            )
        )
        (leader,) = [one for one in asked if one is not None]
        assert (leader.election, leader.ttl_s) == ("planner", LONG_TTL_S)
        assert leader.candidate.startswith("control-")

    async def test_elections_know_nothing_of_each_other(self, case: Case) -> None:
        """Another election of another name has its own leader."""
        registry = await case.open()
        assert await registry.elect("planner", "control-a", LONG_TTL_S)
        assert await registry.elect("janitor", "control-b", LONG_TTL_S)
        assert await registry.elect("planner", "control-b", LONG_TTL_S) is None

    async def test_the_token_rises_with_every_election(self, case: Case) -> None:
        """Resigning, running out and being elected again each lead to a higher token."""
        registry = await case.open()
        tokens = []
        for candidate in ("a", "b", "b"):
            leader = await registry.elect("planner", candidate, LONG_TTL_S)
            assert leader
            tokens.append(leader.token)
            if candidate == "a" or len(tokens) == 3:
                await registry.resign(leader)
        short = await registry.elect("planner", "c", case.ttl_s)
        assert short
        await outlive(case, case.ttl_s)
        last = await registry.elect("planner", "d", LONG_TTL_S)
        assert last
        tokens += [short.token, last.token]
        assert tokens == sorted(set(tokens))
        assert tokens[0] > 0

    async def test_a_leader_who_keeps_it_stays(self, case: Case) -> None:
        """A kept leadership outlives its time, and others keep being refused."""
        registry, rival = await case.open(), await case.open()
        leader = await registry.elect("planner", "control-a", case.ttl_s)
        assert leader
        for _ in range(6):
            await case.clock.sleep(case.ttl_s / 2)
            await registry.keep(leader)
            assert await rival.elect("planner", "control-b", LONG_TTL_S) is None

    async def test_a_leader_who_does_not_keep_it_loses(self, case: Case) -> None:
        """After its time somebody else can be elected, and the former leader is told."""
        registry, rival = await case.open(), await case.open()
        frozen = await registry.elect("planner", "control-a", case.ttl_s)
        assert frozen
        await outlive(case, case.ttl_s)
        leader = await rival.elect("planner", "control-b", LONG_TTL_S)
        assert leader
        assert leader.token > frozen.token
        with pytest.raises(LeadershipLost):
            await registry.keep(frozen)
        await registry.resign(frozen)
        await rival.keep(leader)

    async def test_who_resigned_does_not_lead(self, case: Case) -> None:
        """Resigning makes room at once; again it is harmless."""
        registry = await case.open()
        leader = await registry.elect("planner", "control-a", LONG_TTL_S)
        assert leader
        await registry.resign(leader)
        with pytest.raises(LeadershipLost):
            await registry.keep(leader)
        await registry.resign(leader)
        assert await registry.elect("planner", "control-b", LONG_TTL_S)

    async def test_a_candidate_elected_again_replaces_itself(self, case: Case) -> None:
        """A restarted leader is elected at once, and its former self can neither keep nor write."""
        registry = await case.open()
        former = await registry.elect("planner", "control-a", LONG_TTL_S)
        leader = await registry.elect("planner", "control-a", LONG_TTL_S)
        assert former
        assert leader
        assert leader.token > former.token
        with pytest.raises(LeadershipLost):
            await registry.keep(former)
        with pytest.raises(LeadershipLost):
            await registry.put("plan", b"", leadership=former)
        await registry.resign(former)
        await registry.keep(leader)

    async def test_a_leader_writes(self, case: Case) -> None:
        """A leader's write is checked against its version like any other."""
        registry = await case.open()
        leader = await registry.elect("planner", "control-a", LONG_TTL_S)
        version = await registry.put("plan", b"one", leadership=leader)
        assert await registry.put("plan", b"two", expected=version, leadership=leader) > version
        assert await _value(registry, "plan") == b"two"

    async def test_a_frozen_leaders_late_write_is_refused(self, case: Case) -> None:
        """Whoever was led past cannot write, even with the right version."""
        registry, rival = await case.open(), await case.open()
        frozen = await registry.elect("planner", "control-a", case.ttl_s)
        version = await registry.put("plan", b"old", leadership=frozen)
        await outlive(case, case.ttl_s)
        leader = await rival.elect("planner", "control-b", LONG_TTL_S)
        assert leader
        with pytest.raises(LeadershipLost):
            await registry.put("plan", b"late", leadership=frozen)
        with pytest.raises(LeadershipLost):
            await registry.put("plan", b"late", expected=version, leadership=frozen)
        assert await _value(registry, "plan") == b"old"
        await rival.put("plan", b"new", expected=version, leadership=leader)
        assert await _value(registry, "plan") == b"new"


async def _value(registry: Registry, key: str) -> bytes | None:
    found = await registry.get(key)
    return found.value if found else None
