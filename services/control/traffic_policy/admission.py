"""Which policies are kept: those that clients of the mesh take, and that name what there is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from tandem.control.v1 import registration_pb2 as nouns
from tandem.control.v1 import traffic_policy_pb2 as pb
from tandem.control.v1 import traffic_policy_service_pb2
from tandemkit.mesh.catalogue import Catalogue, Host, Placement
from tandemkit.mesh.kept_policy import policy_of
from tandemkit.mesh.snapshot import generation
from tandemkit.mesh.validation import objections
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.validation import violations

# The control plane's own services.
_OURS = f"{traffic_policy_service_pb2.DESCRIPTOR.package}."
_NEAR_MAX, _NEAR_ENOUGH = 3, 0.4


@dataclass(frozen=True, slots=True)
class Stranger:
    """A name that the fleet does not have, where it stood, and those that look like it."""

    kind: str
    name: str
    field: str
    near: tuple[str, ...]


def objection_to(policy: pb.TrafficPolicy) -> str:
    """Why it must not be kept; empty for a good one.

    The mesh makes of it what it would tell clients, for a fleet in which every service has every
    version, and looks at that as they would.
    """
    for one in policy.services:
        if one.service.startswith(_OURS) and (one.HasField("fault") or one.concurrent_calls_max):
            return f"a fault or limit of {one.service} could keep the policy from being undone"
    try:
        found = objections(generation(_everything(policy), policy_of(policy)).on(""))
    except (ValueError, OverflowError) as error:
        return f"it cannot be written: {error}"
    if found:
        return found[0]
    # The request was good, and what it makes of the rest need not be.
    broken = violations(policy)
    return f"{broken[0].field}: {broken[0].description}" if broken else ""


def stranger_in(
    before: pb.TrafficPolicy, after: pb.TrafficPolicy, hosts: Iterable[nouns.Host]
) -> Stranger | None:
    """The first name that is new in the policy and that no host bears; None where there is none."""
    fleet = tuple(hosts)
    named = {host.name for host in fleet}
    for number, name in enumerate(after.drained_hosts):
        if name not in named and name not in before.drained_hosts:
            return _stranger("host", name, f"drained_hosts[{number}]", named)
    known = {one.service: one for one in before.services}
    serving: dict[str, set[str]] = {}
    for host in fleet:
        for placed in host.placements:
            serving.setdefault(placed.service, set()).add(host.version)
    for number, one in enumerate(after.services):
        was = known.get(one.service)
        field = f"services[{number}]"
        if one.service not in serving and was is None:
            return _stranger("service", one.service, f"{field}.service", serving)
        labels = serving.get(one.service, set()) - {""}
        for version in _versions(one):
            if version not in labels and (was is None or version not in _versions(was)):
                return _stranger("version", version, field, labels)
    return None


def _versions(policy: pb.ServicePolicy) -> Iterator[str]:
    """Those that are to get calls."""
    yield from (one.version for one in policy.shares if one.weight)
    yield from (one.version for one in policy.preferences)


def _stranger(kind: str, name: str, field: str, known: Iterable[str]) -> Stranger:
    near = get_close_matches(name, sorted(known), _NEAR_MAX, _NEAR_ENOUGH)
    return Stranger(kind, name, field, tuple(near))


def _everything(policy: pb.TrafficPolicy) -> Catalogue:
    services = [one.service for one in policy.services]
    versions = sorted({one for said in policy.services for one in _versions(said)})
    placements = tuple(Placement(service) for service in services)
    hosts = tuple(
        Host(f"hosts/{version}", "all", "", "127.0.0.1", port, placements, version)
        for port, version in enumerate(versions or [""], start=1)
    )
    return Catalogue(hosts, tuple(_stand_in(service) for service in services))


def _stand_in(service: str) -> Contract:
    """Policy applies to a service as a whole, so a contract without a method tells as much as the
    service's own, which need not be known yet.
    """
    package, _, name = service.rpartition(".")
    file = FileDescriptorProto(name="stand_in.proto", package=package, syntax="proto3")
    file.service.add(name=name)
    pool: Any = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return Contract(pool.FindServiceByName(service))
