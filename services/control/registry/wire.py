"""Between the messages of the contract and the registry's own values."""

from __future__ import annotations

from datetime import timedelta

from tandem.control.v1 import registration_pb2 as nouns
from tandem.control.v1 import registry_service_pb2 as pb
from tandemkit.registry.protocol import Changed, Event, Leadership, Snapshot

LEASE_TTL_S = 3.0
LEADER_TTL_S = 10.0
# Registrations under it are hosts; whatever else stands in the registry is not told.
HOSTS = "hosts/"


def lease_ttl_s(opening: pb.HoldLeaseRequest.Open) -> float:
    if not opening.HasField("time_to_live"):
        return LEASE_TTL_S
    return opening.time_to_live.ToTimedelta().total_seconds()


def leader_ttl_s(said: pb.CampaignElectionRequest | pb.Leadership) -> float:
    if not said.HasField("time_to_live"):
        return LEADER_TTL_S
    return said.time_to_live.ToTimedelta().total_seconds()


def duration(duration_s: float) -> timedelta:
    return timedelta(seconds=duration_s)


def told_leadership(won: Leadership) -> pb.Leadership:
    told = pb.Leadership(election=won.election, candidate=won.candidate, token=won.token)
    told.time_to_live.FromTimedelta(duration(won.ttl_s))
    return told


def shown_leadership(said: pb.Leadership) -> Leadership:
    return Leadership(said.election, said.candidate, said.token, leader_ttl_s(said))


def watched(event: Event) -> pb.WatchHostsResponse | None:
    """The event as it is told; None where it is not about a host."""
    told = pb.WatchHostsResponse(revision=event.revision)
    if isinstance(event, Snapshot):
        hosts = [one.value for one in event.entries if one.key.startswith(HOSTS)]
        told.snapshot.hosts.extend(map(nouns.Host.FromString, hosts))
        # Empty too, it is one.
        told.snapshot.SetInParent()
    elif isinstance(event, Changed):
        if not event.entry.key.startswith(HOSTS):
            return None
        told.changed.host.ParseFromString(event.entry.value)
    else:
        if not event.key.startswith(HOSTS):
            return None
        told.removed.host = event.key
    return told
