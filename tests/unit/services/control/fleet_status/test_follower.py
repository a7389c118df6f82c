"""What becomes of the view while the registry comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from services.control.fleet_status.floor import Kind
from services.control.fleet_status.follower import Follower, RegistryLost
from services.control.fleet_status.view import DEPARTED_S
from tandem.control.v1 import registry_service_pb2 as pb
from tandemkit.mesh.publication import Publication
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock
from tests.cluster.mesh.trial_contract import ALPHA, BETA
from tests.unit.services.control.fleet_status.fleet import STORED, host, placement
from tests.unit.services.control.fleet_status.test_view import changed, removed, snapshot

A, B = host("a", 1), host("b", 2)
# Longer than any pause between two attempts.
LONG_S = 3.0


class ScriptedRegistry:
    """Tells what a test puts in, and ends the stream at a None. `asked` are the revisions after
    which it was to go on.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.asked: list[int] = []
        self.told: asyncio.Queue[pb.WatchHostsResponse | None] = asyncio.Queue()
        self.stored = {one.digest: one.value for one in STORED.values()}
        self.contracts_fail = False
        self.contract_s = 0.0

    async def watch(self, since_revision: int) -> AsyncIterator[pb.WatchHostsResponse]:
        self.asked.append(since_revision)
        while (told := await self.told.get()) is not None:
            yield told
        raise RegistryLost("the registry does not answer", code="UNAVAILABLE")

    async def contract(self, digest: str) -> pb.StoredValue | None:
        if self.contracts_fail:
            raise RegistryLost("the registry does not answer", code="UNAVAILABLE")
        if self.contract_s:
            await self._clock.sleep(self.contract_s)
        return self.stored.get(digest)


class Followed:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.registry = ScriptedRegistry(self.clock)
        publication = Publication(self.clock)
        self.follower = Follower(self.registry, publication, self.clock, draw=lambda: 1.0)

    async def tell(self, told: pb.WatchHostsResponse | None, pass_s: float = 0.0) -> None:
        self.registry.told.put_nowait(told)
        await self.clock.advance(pass_s)

    @property
    def hosts(self) -> list[str]:
        return [one.name for one in self.follower.catalogue.hosts if one.serving]

    @property
    def agents(self) -> list[str]:
        return [one.service.full_name for one in self.follower.catalogue.contracts]


@asynccontextmanager
async def following() -> AsyncIterator[Followed]:
    one = Followed()
    async with Tasks() as tasks:
        tasks.spawn("follower", one.follower.run())
        tasks.spawn("time", one.follower.pass_time())
        tasks.spawn("behind", one.follower.catch_up())
        yield one


async def test_a_view_that_was_lost_stays_and_says_so() -> None:
    """It is of no use to anybody to forget the fleet because the registry restarts."""
    async with following() as one:
        began = one.follower.stale_since
        await one.tell(snapshot(7, A))
        assert began is not None
        assert one.follower.stale_since is None
        await one.clock.advance(60)
        lost_at = one.clock.now()
        await one.tell(None)
        assert one.hosts == ["hosts/a"]
        assert one.follower.stale_since == lost_at


async def test_it_goes_on_after_the_revision_that_it_saw() -> None:
    """With a longer pause after each failure, up to two seconds, and a short one once it was told
    something.
    """
    async with following() as one:
        await one.tell(snapshot(7, A))
        for pause_s in (0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0):
            attempts_count = len(one.registry.asked)
            await one.tell(None, pause_s - 0.01)
            assert len(one.registry.asked) == attempts_count
            await one.clock.advance(0.02)
            assert len(one.registry.asked) == attempts_count + 1
        assert one.registry.asked == [0, *[7] * 7]
        await one.tell(changed(8, B))
        assert one.hosts == ["hosts/a", "hosts/b"]
        assert one.follower.stale_since is None
        await one.tell(None, 0.11)
        assert one.registry.asked[-1] == 8
        assert len(one.registry.asked) == 9


async def test_a_contract_that_could_not_be_read_is_read_later() -> None:
    """The change that named it is not told a second time, so it is not lost with the stream."""
    async with following() as one:
        await one.tell(snapshot(1))
        one.registry.contracts_fail = True
        await one.tell(changed(2, A), LONG_S)
        assert one.agents == []
        one.registry.contracts_fail = False
        await one.clock.advance(LONG_S)
        assert (one.agents, one.hosts) == ([ALPHA], ["hosts/a"])


async def test_a_contract_that_is_not_there_is_asked_for_with_the_next_change() -> None:
    """Until then the host is there without the agent."""
    async with following() as one:
        stored = one.registry.stored.pop(STORED[ALPHA].digest)
        await one.tell(snapshot(1, A))
        assert (one.agents, one.hosts) == ([], ["hosts/a"])
        one.registry.stored[STORED[ALPHA].digest] = stored
        await one.tell(changed(2, B))
        assert one.agents == [ALPHA]


async def test_a_contract_stays_the_same_object_while_a_host_has_it() -> None:
    """Else every change of a host would change all routes."""
    async with following() as one:
        await one.tell(snapshot(1, A))
        (before,) = one.follower.catalogue.contracts
        await one.tell(changed(2, B))
        (after,) = one.follower.catalogue.contracts
        assert after is before


async def test_who_is_kept_in_spite_of_silence_is_given_up_in_time() -> None:
    """Nothing has to be said for it; until then it is listed with its end."""
    async with following() as one:
        await one.tell(snapshot(1, A))
        began = one.clock.now()
        await one.tell(removed(2, A.name))
        assert one.hosts == ["hosts/a"]
        kept = (A.name, Kind.KEPT, began + timedelta(seconds=DEPARTED_S))
        assert list(one.follower.treatments) == [kept]
        await one.clock.advance(DEPARTED_S + 1)
        assert one.hosts == []
        assert list(one.follower.treatments) == []


async def test_while_the_registry_is_silent_nobody_is_given_up() -> None:
    """Its silence is no word about the hosts, however long it lasts."""
    async with following() as one:
        await one.tell(snapshot(1, A))
        await one.tell(removed(2, A.name))
        await one.tell(None)
        await one.clock.advance(10 * DEPARTED_S)
        assert one.hosts == ["hosts/a"]
        await one.tell(changed(3, B), 1)
        assert one.hosts == ["hosts/b"]


async def test_what_comes_too_soon_is_told_together() -> None:
    """Making a catalogue takes its time, and leaves four times as long to others."""
    async with following() as one:
        await one.tell(snapshot(1))
        one.registry.contract_s = 0.01
        await one.tell(changed(2, A), 0.01)
        assert one.hosts == ["hosts/a"]
        await one.tell(changed(3, B), 0.03)
        assert one.hosts == ["hosts/a"]
        await one.tell(changed(4, host("c", 3)), 0.02)
        assert one.hosts == ["hosts/a", "hosts/b", "hosts/c"]


async def test_what_came_too_soon_is_not_lost_with_a_read_that_fails() -> None:
    """The watch stands all the same, so nobody would say it again."""
    async with following() as one:
        await one.tell(snapshot(1))
        one.registry.contract_s = 0.01
        await one.tell(changed(2, A), 0.01)
        one.registry.contracts_fail = True
        await one.tell(changed(3, host("b", 2, [placement(BETA)])), LONG_S)
        assert one.hosts == ["hosts/a"]
        one.registry.contracts_fail = False
        await one.clock.advance(LONG_S)
        assert one.hosts == ["hosts/a", "hosts/b"]
