"""The traffic policy as the registry keeps it, read back: by control, and by every host."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import traffic_policy_pb2 as pb
from tandemkit.mesh.policy import (
    CALLS_MAX,
    Fault,
    Preference,
    ServicePolicy,
    Share,
    TrafficPolicy,
)

POLICY_KEY = "policy/traffic"
POLICY_SCHEMA = pb.PolicyRecord.DESCRIPTOR.full_name


class Unreadable(Exception):
    """What is kept is no policy that this version knows."""


def record_in(value: registry.StoredValue) -> pb.PolicyRecord:
    """Raises Unreadable."""
    if value.schema != POLICY_SCHEMA:
        raise Unreadable(f"the policy is kept as {value.schema!r}, which is not known here")
    try:
        return pb.PolicyRecord.FromString(value.content)
    except DecodeError as error:
        raise Unreadable("what is kept is no policy") from error


def policy_of(said: pb.TrafficPolicy, version: int = 0) -> TrafficPolicy:
    """The same in the mesh's own values."""
    return TrafficPolicy(
        services={one.service: _of_service(one) for one in said.services},
        drained=frozenset(said.drained_hosts),
        calls_max=said.client_calls_max or CALLS_MAX,
        version=version,
    )


def _of_service(said: pb.ServicePolicy) -> ServicePolicy:
    return ServicePolicy(
        shares=tuple(Share(one.version, one.weight) for one in said.shares),
        preferences=tuple(
            Preference(one.header, one.value, one.version) for one in said.preferences
        ),
        fault=_of_fault(said.fault) if said.HasField("fault") else None,
    )


def _of_fault(said: pb.InjectedFault) -> Fault:
    delay_s = said.delay.ToNanoseconds() / 1e9
    return Fault(percent=said.percent, abort_code=said.abort_code, delay_s=delay_s)
