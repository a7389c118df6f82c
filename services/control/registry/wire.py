"""Between the messages of the contract and the registry's own values."""

from __future__ import annotations

from datetime import timedelta

from tandem.control.v1 import registry_service_pb2 as pb
from tandemkit.registry.protocol import Leadership

LEASE_TTL_S = 3.0
LEADER_TTL_S = 10.0


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
