"""What becomes of the policy while the registry tells it, tells nonsense, or is silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.control.fleet_status.follower import RegistryLost
from services.control.fleet_status.policies import PolicyFollower
from services.control.fleet_status.telling import Telling
from tandem.control.v1 import registry_service_pb2 as pb
from tandem.control.v1 import traffic_policy_pb2 as nouns
from tandemkit.mesh.catalogue import Catalogue
from tandemkit.mesh.kept_policy import POLICY_KEY, POLICY_SCHEMA
from tandemkit.mesh.policy import TrafficPolicy
from tandemkit.mesh.publication import Publication
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock

DRAINED = frozenset({"hosts/a"})
# Longer than any pause between two attempts.
LONG_S = 3.0


def told(version: int, *drained: str) -> pb.WatchValueResponse:
    record = nouns.PolicyRecord(
        policy=nouns.TrafficPolicy(drained_hosts=drained),
        change=nouns.PolicyChange(version=version),
    )
    value = pb.StoredValue(schema=POLICY_SCHEMA, content=record.SerializeToString())
    return pb.WatchValueResponse(value=value, version=version)


class ScriptedValues:
    """Tells what a test puts in, and ends the stream at a None."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[pb.WatchValueResponse | None] = asyncio.Queue()

    async def value(self, key: str) -> AsyncIterator[pb.WatchValueResponse]:
        assert key == POLICY_KEY
        while (one := await self.told.get()) is not None:
            yield one
        raise RegistryLost("the registry does not answer", code="UNAVAILABLE")


class Followed:
    def __init__(self) -> None:
        self.clock, self.values = FakeClock(), ScriptedValues()
        self.publication = Publication(self.clock)
        self.telling = Telling(self.publication)
        self.follower = PolicyFollower(self.values, self.telling, self.clock, draw=lambda: 1.0)

    async def tell(self, one: pb.WatchValueResponse | None, pass_s: float = 0.3) -> None:
        self.values.told.put_nowait(one)
        await self.clock.advance(pass_s)

    def is_stale(self) -> bool:
        return self.follower.stale_since is not None

    @property
    def in_force(self) -> TrafficPolicy:
        return self.publication.policy


@asynccontextmanager
async def following() -> AsyncIterator[Followed]:
    one = Followed()
    async with Tasks() as tasks:
        tasks.spawn("policies", one.follower.run())
        tasks.spawn("publication", one.publication.run())
        yield one


async def test_nothing_is_told_until_hosts_and_policy_are_known() -> None:
    """A control that restarts would else take a drain back for a moment."""
    async with following() as one:
        one.telling.publish(Catalogue())
        await one.clock.advance(1)
        assert one.publication.on("") is None
        await one.tell(told(3, "hosts/a"))
        assert one.publication.on("") is not None
        assert (one.in_force.drained, one.in_force.version) == (DRAINED, 3)


async def test_a_policy_that_nobody_set_is_an_empty_one() -> None:
    """The fleet is told all the same."""
    async with following() as one:
        one.telling.publish(Catalogue())
        await one.tell(pb.WatchValueResponse())
        assert one.publication.on("") is not None
        assert one.in_force == TrafficPolicy()


async def test_the_last_good_policy_stays_in_force() -> None:
    """While the registry is silent, and when it tells what nobody here can read."""
    async with following() as one:
        one.telling.publish(Catalogue())
        await one.tell(told(1, "hosts/a"))
        assert not one.is_stale()
        await one.tell(None)
        assert one.is_stale()
        assert one.in_force.drained == DRAINED
        await one.clock.advance(LONG_S)
        newer = pb.StoredValue(schema="tandem.control.v2.PolicyRecord", content=b"")
        await one.tell(pb.WatchValueResponse(value=newer, version=2))
        assert not one.is_stale()
        assert "v2" in one.follower.unreadable
        assert one.in_force.drained == DRAINED
        broken = pb.StoredValue(schema=POLICY_SCHEMA, content=b"\xff")
        await one.tell(pb.WatchValueResponse(value=broken, version=3))
        assert one.in_force.drained == DRAINED
        await one.tell(told(4))
        assert (one.follower.unreadable, one.in_force.version) == ("", 4)
