"""When the control plane says what, and what it never says."""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from weakref import ref

import pytest
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest

from tandemkit.mesh.catalogue import Catalogue, Host, Placement
from tandemkit.mesh.policy import Fault, Preference, ServicePolicy, Share, TrafficPolicy
from tandemkit.mesh.publication import COALESCE_S, RETIRED_S, Publication
from tandemkit.mesh.snapshot import ENDPOINTS
from tandemkit.mesh.streams import Stream
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock
from tests.unit.tandemkit.mesh.meshed import (
    ALPHA,
    BETA,
    CONTRACTS,
    GROUP,
    HERE,
    ONLY_ALPHA,
    THERE,
    A,
    B,
    C,
    cluster_of,
    priorities,
    routes_of,
)


@asynccontextmanager
async def running(clock: FakeClock) -> AsyncIterator[Publication]:
    publication = Publication(clock)
    async with Tasks() as tasks:
        tasks.spawn("publication", publication.run())
        yield publication


def catalogue(*hosts: Host) -> Catalogue:
    return Catalogue(hosts, CONTRACTS)


def told(publication: Publication, machine: str = HERE) -> list[set[int]]:
    found = publication.on(machine)
    assert found is not None
    return priorities(found, GROUP)


async def test_nothing_is_said_before_the_first_publication() -> None:
    """A control plane that has just started knows nothing, and must not say so."""
    clock = FakeClock()
    async with running(clock) as publication:
        await clock.advance(10)
        assert publication.on(HERE) is None


async def test_the_first_change_is_told_at_once_and_a_burst_in_one() -> None:
    """After one telling the next waits its time, and then tells the latest state alone."""
    clock = FakeClock()
    async with running(clock) as publication:
        with publication.watching() as changed:
            changed.clear()
            publication.publish(catalogue(A))
            await clock.advance(0)
            assert told(publication) == [{1}]
            assert changed.is_set()
            changed.clear()
            publication.publish(catalogue(A, B))
            publication.publish(catalogue(A, B, C))
            await clock.advance(COALESCE_S / 2)
            assert told(publication) == [{1}]
            assert not changed.is_set()
            await clock.advance(COALESCE_S)
            assert told(publication) == [{1, 2}, {3}]
            assert changed.is_set()


async def test_each_machine_is_told_its_own_order() -> None:
    """A machine that the catalogue does not know is far from all."""
    clock = FakeClock()
    async with running(clock) as publication:
        publication.publish(catalogue(A, B, C))
        await clock.advance(0)
        assert told(publication, THERE) == [{3}, {1, 2}]
        assert told(publication, "a laptop") == [{1, 2, 3}]


async def test_what_a_client_would_refuse_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """The last good configuration stays, the reason is known, and the next good one is told."""
    clock = FakeClock()
    async with running(clock) as publication:
        publication.publish(catalogue(A, B))
        await clock.advance(COALESCE_S)
        with caplog.at_level(logging.ERROR):
            publication.publish(catalogue(A, replace(B, port=70000)))
            await clock.advance(COALESCE_S)
        assert told(publication) == [{1, 2}]
        assert any("70000" in said for said in publication.refused)
        assert "mesh.refused" in [line.getMessage() for line in caplog.records]
        publication.publish(catalogue(A))
        await clock.advance(COALESCE_S)
        assert told(publication) == [{1}]
        assert publication.refused == ()


@pytest.mark.parametrize(
    "policy",
    [
        ServicePolicy((Share("green", -1),)),
        ServicePolicy(fault=Fault(percent=-1, abort_code=14)),
        ServicePolicy(fault=Fault(percent=1, delay_s=1e300)),
        ServicePolicy(preferences=(Preference("x-tester", "\ud800", "green"),)),
    ],
)
async def test_an_impossible_policy_hides_no_change_of_the_fleet(policy: ServicePolicy) -> None:
    """The last good one stays in force, and with it is told which hosts there are."""
    clock = FakeClock()
    good = TrafficPolicy(drained=frozenset({C.name}), version=1)
    async with running(clock) as publication:
        publication.publish(catalogue(A, C), good)
        await clock.advance(COALESCE_S)
        publication.publish(catalogue(B, C), TrafficPolicy({ALPHA: policy}, version=2))
        await clock.advance(COALESCE_S)
        assert told(publication) == [{2}]
        assert publication.policy == good
        assert publication.refused
        publication.publish(catalogue(B, C), TrafficPolicy(version=3))
        await clock.advance(COALESCE_S)
        assert told(publication) == [{2}, {3}]
        assert (publication.policy.version, publication.refused) == (3, ())


def clusters_of(publication: Publication) -> tuple[set[str], set[str]]:
    """Those that calls go to, and those that are known."""
    found = publication.on(HERE)
    assert found is not None
    called = {
        one.name
        for path, action in routes_of(found).items()
        for one in action.weighted_clusters.clusters
        if not path.startswith("/~/")
    }
    return called, set(found.clusters.by_name)


async def test_a_cluster_is_known_a_telling_before_calls_go_there() -> None:
    """A client that hears of both at once may send them too early; a dead host does not wait."""
    clock = FakeClock()
    blue, green = replace(A, version="blue"), replace(B, version="green")
    policy = TrafficPolicy({ALPHA: ServicePolicy((Share("green", 1),))})
    async with running(clock) as publication:
        publication.publish(catalogue(blue, green, C))
        await clock.advance(0)
        await clock.advance(COALESCE_S)
        publication.publish(catalogue(blue, replace(green, serving=False), C), policy)
        await clock.advance(0)
        called, known = clusters_of(publication)
        assert f"{GROUP}@green" not in called
        assert f"{GROUP}@green" in known
        assert told(publication) == [{1}, {3}]
        await clock.advance(COALESCE_S)
        called, known = clusters_of(publication)
        assert f"{GROUP}@green" in called
        assert publication.policy == policy


async def test_an_agent_that_is_new_is_called_at_once() -> None:
    """Nobody calls it yet, so there is nothing to foretell."""
    clock = FakeClock()
    async with running(clock) as publication:
        publication.publish(Catalogue((replace(A, placements=ONLY_ALPHA),), CONTRACTS[:1]))
        await clock.advance(0)
        await clock.advance(COALESCE_S)
        other = replace(B, group="other", placements=(Placement(BETA),))
        publication.publish(catalogue(replace(A, placements=ONLY_ALPHA), other))
        await clock.advance(0)
        found = publication.on(HERE)
        assert found is not None
        assert cluster_of(found, "Ask", BETA) == "other"


async def test_what_was_told_is_forgotten() -> None:
    """A control plane that tells for months holds what it tells now, and what its clients know."""
    clock = FakeClock()
    async with running(clock) as publication:
        stream, old = Stream(), []
        stream.take(DiscoveryRequest(type_url=ENDPOINTS, resource_names=[GROUP]))
        for hosts in ((A,), (A, B), (A,), (A, B), (A, B, C)):
            publication.publish(catalogue(*hosts))
            await clock.advance(COALESCE_S)
            found = publication.on("")
            assert found is not None
            assert len(list(stream.due(found))) == 1
            old.append(ref(found.endpoints))
            del found
        gc.collect()
        assert [one() is None for one in old] == [True, True, True, True, False]


async def test_a_cluster_without_routes_stays_for_those_who_have_not_heard() -> None:
    """It is told as it was for a while, and is gone with the first change after that."""
    clock = FakeClock()
    versioned = (replace(A, version="green"), B)
    policy = TrafficPolicy({ALPHA: ServicePolicy((Share("green", 1),))})
    name = f"{GROUP}@green"
    async with running(clock) as publication:

        async def clusters(*hosts: Host, policy: TrafficPolicy | None = None) -> set[str]:
            publication.publish(catalogue(*hosts), policy or TrafficPolicy())
            await clock.advance(COALESCE_S)
            found = publication.on(HERE)
            assert found is not None
            assert found.clusters.by_name.keys() == found.endpoints.by_name.keys()
            return set(found.clusters.by_name)

        assert name in await clusters(*versioned, policy=policy)
        assert name in await clusters(*versioned)
        await clock.advance(RETIRED_S / 2)
        assert name in await clusters(A)
        await clock.advance(RETIRED_S)
        assert name not in await clusters(A, B)


async def test_a_machine_heard_of_later_is_told_nothing_of_what_was_before() -> None:
    """A client from there that comes while a cluster is kept for others stops nobody."""
    clock = FakeClock()
    policy = TrafficPolicy({ALPHA: ServicePolicy((Share("green", 1),))})
    name = f"{GROUP}@green"
    async with running(clock) as publication:
        for bent in (policy, TrafficPolicy()):
            publication.publish(catalogue(A, C), bent)
            await clock.advance(COALESCE_S)
        late = publication.on(THERE)
        assert late is not None
        assert name not in late.clusters.by_name
        publication.publish(catalogue(A, B, C))
        await clock.advance(COALESCE_S)
        assert told(publication, THERE) == [{3}, {1, 2}]
        everywhere = publication.on("")
        assert everywhere is not None
        assert name in everywhere.clusters.by_name
