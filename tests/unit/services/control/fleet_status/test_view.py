"""What the registry tells, folded into what is known."""

from __future__ import annotations

from collections.abc import Sequence

from services.control.fleet_status.view import DEPARTED_S, View
from tandem.control.v1 import registration_pb2 as nouns
from tandem.control.v1 import registry_service_pb2 as pb
from tandemkit.testing.clock import FakeClock
from tests.unit.services.control.fleet_status.fleet import host

A, B = host("a", 1), host("b", 2)


def snapshot(
    revision: int, *hosts: nouns.Host, drained: Sequence[str] = ()
) -> pb.WatchHostsResponse:
    said = pb.WatchHostsResponse.Snapshot(hosts=hosts, drained=drained)
    return pb.WatchHostsResponse(revision=revision, snapshot=said)


def removed(revision: int, name: str, *, drained: bool = False) -> pb.WatchHostsResponse:
    return pb.WatchHostsResponse(
        revision=revision, removed=pb.WatchHostsResponse.Removed(host=name, drained=drained)
    )


def changed(revision: int, one: nouns.Host) -> pb.WatchHostsResponse:
    return pb.WatchHostsResponse(revision=revision, changed=pb.WatchHostsResponse.Changed(host=one))


def test_an_empty_fleet_is_known_too() -> None:
    """Before the first snapshot nothing is known; an empty one is an answer."""
    view = View(FakeClock())
    before = view.is_known
    view.take(snapshot(0))
    assert (before, view.is_known) == (False, True)
    assert view.hosts == ()


def test_a_host_that_left_is_remembered_until_it_is_back_or_forgotten() -> None:
    """It departs with its registration, and comes back as what it then says it is."""
    view = View(FakeClock())
    view.take(snapshot(1, A, B))
    view.take(removed(2, A.name))
    assert (view.hosts, view.departed) == ((B,), (A,))
    moved = host("a", 3)
    view.take(changed(3, moved))
    assert (view.hosts, view.departed, view.revision) == ((B, moved), (), 3)


async def test_a_host_that_stays_away_is_forgotten() -> None:
    """A minute after it left, with the next thing that is told."""
    clock = FakeClock()
    view = View(clock)
    view.take(snapshot(1, A, B))
    view.take(removed(2, A.name))
    await clock.advance(DEPARTED_S)
    view.take(changed(3, B))
    assert (view.hosts, view.departed) == ((B,), ())


def test_who_is_not_in_a_later_snapshot_has_left() -> None:
    """After a gap the snapshot stands for what was missed."""
    view = View(FakeClock())
    view.take(snapshot(1, A, B))
    view.take(snapshot(9, B))
    assert (view.hosts, view.departed, view.revision) == ((B,), (A,), 9)
