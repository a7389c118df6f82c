"""The traffic policy and its history as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from google.rpc import code_pb2

from tandem.control.v1 import traffic_policy_pb2 as pb
from tandem.control.v1.fleet_status_service_pb2 import GetPublicationResponse
from tandemkit.cli.output import table
from tandemkit.cli.reflection import short

_MOMENT = "%Y-%m-%d %H:%M:%S"


def policy_text(policy: pb.TrafficPolicy, version: int) -> str:
    """One line for each service and for what concerns all of them."""
    rows = [(short(one.service), described(one)) for one in policy.services]
    rows += [("drained", ", ".join(policy.drained_hosts))] if policy.drained_hosts else []
    if policy.client_calls_max:
        rows.append(("client limit", _calls(policy.client_calls_max)))
    if not version:
        return "Nobody has changed the policy yet."
    return "\n".join((f"version {version}", table(rows) if rows else "bends nothing"))


def described(policy: pb.ServicePolicy) -> str:
    """What it does to the calls of its service."""
    return "; ".join(_parts(policy)) or "nothing"


def in_force_lines(told: GetPublicationResponse) -> Iterator[str]:
    """What clients go by, where that is not the policy as it is kept."""
    if told.policy_version != told.latest_policy_version:
        yield f"this control tells version {told.policy_version}"
    yield from (f"not told: {why}" for why in told.refusals)
    if told.HasField("policy_stale_time"):
        moment = told.policy_stale_time.ToDatetime().strftime(_MOMENT)
        yield f"this control has not heard of the policy since {moment} UTC"


def history_text(changes: Sequence[pb.PolicyChange]) -> str:
    return "\n".join(line for change in changes for line in _lines(change)) or "No change yet."


def deeds_text(changes: Sequence[pb.PolicyChange]) -> str:
    """What they did, without who and when."""
    return "\n".join(line for change in changes for line in _deeds(change))


def _parts(policy: pb.ServicePolicy) -> Iterator[str]:
    total = sum(one.weight for one in policy.shares)
    shares = (f"{one.version} {100 * one.weight / total:.4g} %" for one in policy.shares)
    if policy.shares:
        yield ", ".join(shares)
    yield from (f"{one.header}={one.value} to {one.version}" for one in policy.preferences)
    if policy.HasField("fault"):
        yield _fault(policy.fault)
    if policy.concurrent_calls_max:
        yield f"{_calls(policy.concurrent_calls_max)} of a method at an instance"


def _fault(fault: pb.InjectedFault) -> str:
    said = []
    if fault.HasField("delay"):
        said.append(f"a delay of {fault.delay.ToTimedelta().total_seconds():g} s")
    if fault.abort_code:
        said.append(code_pb2.Code.Name(fault.abort_code))
    return f"{', then '.join(said)} for {fault.percent:g} % of the calls"


def _lines(change: pb.PolicyChange) -> Iterator[str]:
    moment = change.time.ToDatetime().strftime(_MOMENT)
    yield f"{change.version}  {moment} UTC  {change.note.author}: {change.note.reason}"
    yield from _deeds(change)


def _deeds(change: pb.PolicyChange) -> Iterator[str]:
    if change.undone_version:
        yield f"     undid {change.undone_version} and what came after it"
    for one in change.services:
        service = one.after.service or one.before.service
        yield f"     {short(service)}: {described(one.before)} -> {described(one.after)}"
    yield from (f"     {host}: drained" for host in change.drained_hosts)
    yield from (f"     {host}: returned" for host in change.returned_hosts)
    if change.HasField("client_calls_max_after"):
        before, after = change.client_calls_max_before, change.client_calls_max_after
        yield f"     client limit: {before or 'default'} -> {after or 'default'}"


def _calls(calls_max: int) -> str:
    return f"at most {calls_max} calls in progress"
