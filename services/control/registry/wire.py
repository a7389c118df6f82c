"""Between the messages of the contract and the registry's own values."""

from __future__ import annotations

import secrets
from datetime import timedelta

from tandem.control.v1 import registry_service_pb2 as pb
from tandemkit.registry.protocol import Changed, Entry, Event, Leadership, Lease, Snapshot

LEASE_TTL_S = 3.0
LEADER_TTL_S = 10.0
REGISTRATION_TTL_S = 30.0


def lease_ttl_s(opening: pb.HoldLeaseRequest.Open) -> float:
    if not opening.HasField("time_to_live"):
        return LEASE_TTL_S
    return opening.time_to_live.ToTimedelta().total_seconds()


def leader_ttl_s(said: pb.CampaignElectionRequest | pb.Leadership) -> float:
    if not said.HasField("time_to_live"):
        return LEADER_TTL_S
    return said.time_to_live.ToTimedelta().total_seconds()


def owner_of(key: str) -> str:
    """As with hosts, each lease has an owner of its own: an older one gives way by its key."""
    return f"{key}/{secrets.token_hex(8)}"


def registration_ttl_s(said: pb.OpenRegistrationRequest) -> float:
    if not said.HasField("time_to_live"):
        return REGISTRATION_TTL_S
    return said.time_to_live.ToTimedelta().total_seconds()


def told_lease(key: str, lease: Lease) -> pb.RegistrationLease:
    told = pb.RegistrationLease(key=key, id=lease.id, owner=lease.owner)
    told.time_to_live.FromTimedelta(duration(lease.ttl_s))
    return told


def shown_lease(said: pb.RegistrationLease) -> Lease:
    return Lease(said.id, said.owner, said.time_to_live.ToTimedelta().total_seconds())


def told_registration(entry: Entry) -> pb.Registration:
    value = pb.StoredValue.FromString(entry.value)
    return pb.Registration(key=entry.key, value=value, owner=entry.owner)


def told_of_registrations(event: Event, prefix: str) -> pb.WatchRegistrationsResponse | None:
    """The event as it is told to who asked for keys that begin so; None where it is about none."""
    said = pb.WatchRegistrationsResponse()
    if isinstance(event, Snapshot):
        said.snapshot.SetInParent()
        found = (entry for entry in event.entries if entry.key.startswith(prefix))
        said.snapshot.registrations.extend(map(told_registration, found))
        return said
    key = event.entry.key if isinstance(event, Changed) else event.key
    if not key.startswith(prefix):
        return None
    if isinstance(event, Changed):
        said.changed.registration.CopyFrom(told_registration(event.entry))
    else:
        said.removed.key = key
    return said


def duration(duration_s: float) -> timedelta:
    return timedelta(seconds=duration_s)


def told_leadership(won: Leadership) -> pb.Leadership:
    told = pb.Leadership(election=won.election, candidate=won.candidate, token=won.token)
    told.time_to_live.FromTimedelta(duration(won.ttl_s))
    return told


def shown_leadership(said: pb.Leadership) -> Leadership:
    return Leadership(said.election, said.candidate, said.token, leader_ttl_s(said))
