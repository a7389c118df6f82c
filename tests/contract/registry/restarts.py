"""A backend that was killed and started again has forgotten nothing that it promised to keep."""

from __future__ import annotations

import pytest

from tandemkit.registry.protocol import LeadershipLost, LeaseLost, VersionConflict, Versioned
from tests.contract.registry.case import Restartable, outlive, until, watching
from tests.contract.registry.leases import LONG_TTL_S


class RestartSuite:
    """For backends whose process, or whose own, can be killed."""

    async def test_values_and_versions_survive(self, case: Restartable) -> None:
        """What a writer was told is there after a kill, and versions go on from it."""
        registry = await case.open()
        kept = await registry.put("kept", b"value")
        gone = await registry.put("gone", b"value")
        await registry.delete("gone")
        await case.kill_and_restart()
        registry = await case.open()
        assert await registry.get("kept") == Versioned(b"value", kept)
        assert await registry.get("gone") is None
        assert await registry.put("gone", b"again", expected=0) > gone
        with pytest.raises(VersionConflict):
            await registry.put("kept", b"other", expected=0)
        assert await registry.put("kept", b"other", expected=kept) > kept

    async def test_tokens_go_on_rising(self, case: Restartable) -> None:
        """No token is handed out twice, whatever was killed in between."""
        registry = await case.open()
        tokens = []
        for turn in range(3):
            if turn:
                await case.kill_and_restart()
                registry = await case.open()
            leader = await registry.elect("planner", "control-a", LONG_TTL_S)
            assert leader
            tokens.append(leader.token)
        assert tokens == sorted(set(tokens))

    async def test_a_former_leader_stays_one(self, case: Restartable) -> None:
        """A leader who was led past before the kill is refused after it."""
        registry = await case.open()
        former = await registry.elect("planner", "control-a", LONG_TTL_S)
        assert former
        await registry.resign(former)
        leader = await registry.elect("planner", "control-b", LONG_TTL_S)
        assert leader
        await case.kill_and_restart()
        registry = await case.open()
        with pytest.raises(LeadershipLost):
            await registry.put("plan", b"late", leadership=former)
        with pytest.raises(LeadershipLost):
            await registry.keep(former)
        await registry.put("plan", b"good", leadership=leader)

    async def test_a_lease_is_held_or_lost_and_never_stuck(self, case: Restartable) -> None:
        """After a kill a host either goes on renewing or is told to begin anew; both lead to a
        registration that all see.
        """
        registry = await case.open()
        lease = await registry.open_lease("host-a", LONG_TTL_S)
        await registry.register(lease, "agents/one", b"a")
        await case.kill_and_restart()
        registry = await case.open()
        try:
            await registry.renew(lease)
        except LeaseLost:
            lease = await registry.open_lease("host-a", LONG_TTL_S)
            await registry.register(lease, "agents/one", b"a")
        async with watching(case, registry) as watched:
            await until(case, lambda: watched.values() == {"agents/one": b"a"})

    async def test_what_nobody_renews_ends_after_a_restart_too(self, case: Restartable) -> None:
        """A registration whose host died together with the backend does not stay forever."""
        registry = await case.open()
        lease = await registry.open_lease("host-a", case.ttl_s)
        await registry.register(lease, "agents/one", b"a")
        await case.kill_and_restart()
        registry = await case.open()
        async with watching(case, registry) as watched:
            await until(case, lambda: not watched.view)
        with pytest.raises(LeaseLost):
            await registry.renew(lease)

    async def test_a_dead_leader_makes_room_after_a_restart_too(self, case: Restartable) -> None:
        """A leader who died together with the backend is succeeded."""
        registry = await case.open()
        dead = await registry.elect("planner", "control-a", case.ttl_s)
        assert dead
        await case.kill_and_restart()
        registry = await case.open()
        await outlive(case, case.ttl_s)
        leader = await registry.elect("planner", "control-b", LONG_TTL_S)
        assert leader
        assert leader.token > dead.token

    async def test_revisions_do_not_go_back(self, case: Restartable) -> None:
        """A watcher who resumes after a kill ends up with what is true, not with what was."""
        registry = await case.open()
        lease = await registry.open_lease("host-a", LONG_TTL_S)
        for number in range(20):
            await registry.register(lease, "agents/one", b"%d" % number)
        async with watching(case, registry) as before:
            pass
        await case.kill_and_restart()
        registry = await case.open()
        lease = await registry.open_lease("host-a", LONG_TTL_S)
        await registry.register(lease, "agents/two", b"")
        async with watching(case, registry) as after:
            await until(case, lambda: set(after.view) == {"agents/two"})
            assert after.revision > before.revision
