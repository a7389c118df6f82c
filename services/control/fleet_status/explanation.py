"""What clients were told for one call, as a message."""

from __future__ import annotations

from datetime import datetime

from google.rpc import code_pb2

from tandem.control.v1 import fleet_status_service_pb2 as pb
from tandem.control.v1 import traffic_policy_pb2 as nouns
from tandemkit.mesh.catalogue import Host, Standing
from tandemkit.mesh.explaining import Call, Explanation, Target, explained, headers_of
from tandemkit.mesh.past import Told
from tandemkit.mesh.policy import Fault

_CAUSES = {
    Standing.LEFT: pb.AbsentHost.CAUSE_LEFT,
    Standing.LAPSED: pb.AbsentHost.CAUSE_LEASE_ENDED,
    Standing.DAMPED: pb.AbsentHost.CAUSE_DAMPED,
    Standing.DISPLACED: pb.AbsentHost.CAUSE_DISPLACED,
    Standing.DRAINED_BY_POLICY: pb.AbsentHost.CAUSE_DRAINED,
    Standing.UNWELL: pb.AbsentHost.CAUSE_NOT_SERVING,
}


def target_of(host: Host) -> str:
    """Where it listens."""
    address = f"[{host.address}]" if ":" in host.address else host.address
    return f"{address}:{host.port}"


def explanation(
    request: pb.ExplainRouteRequest, told: Told, until: datetime | None
) -> pb.ExplainRouteResponse:
    """Of the call in `request`, when `told` was what clients heard."""
    said = {one.name: one.value for one in request.headers}
    headers = headers_of(request.instance, said)
    call = Call(request.method, headers, request.caller_machine)
    answer = pb.ExplainRouteResponse(
        revision=told.revision,
        policy_version=told.policy.version,
        routes_version=told.routes_version,
    )
    answer.since_time.FromDatetime(told.time)
    if until is not None:
        answer.until_time.FromDatetime(until)
    policy = told.policy.of(call.service)
    for one in policy.preferences:
        answer.preferences.add(header=one.header, value=one.value, version=one.version)
    if policy.fault is not None:
        answer.fault.CopyFrom(_fault(policy.fault))
    if (found := explained(told, call)) is not None:
        answer.route.CopyFrom(_route(found, told))
    return answer


def _route(found: Explanation, told: Told) -> pb.TakenRoute:
    left_out = (
        pb.AbsentHost(
            host=host.name, machine=host.machine, version=host.version, cause=_CAUSES[why]
        )
        for host, why in found.left_out
    )
    targets = (_target(one, told) for one in found.targets)
    return pb.TakenRoute(match=found.match, targets=targets, left_out=left_out)


def _target(one: Target, told: Told) -> pb.RouteTarget:
    made = pb.RouteTarget(cluster=one.cluster, weight=one.weight, version=one.version)
    for priority, hosts in enumerate(one.priorities):
        for host in hosts:
            made.endpoints.add(
                host=host.name,
                machine=host.machine,
                target=target_of(host),
                version=host.version,
                priority=priority,
                kept=told.catalogue.standings.get(host.name) is Standing.KEPT,
            )
    return made


def _fault(fault: Fault) -> nouns.InjectedFault:
    code = code_pb2.Code.Name(fault.abort_code)
    made = nouns.InjectedFault(percent=fault.percent, abort_code=code)
    if fault.delay_s:
        made.delay.FromMicroseconds(round(fault.delay_s * 1_000_000))
    return made
