"""What decided the calls of a trace, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2

from tandem.control.v1 import fleet_status_service_pb2 as pb
from tandemkit.cli.harmless import one_line
from tandemkit.cli.moments import rfc3339
from tandemkit.cli.why_calls import Served
from tandemkit.mesh.pools import NOWHERE

# Clients hear of a publication within milliseconds; this is on the safe side.
_HEARD_WITHIN = timedelta(seconds=1)
_IN_PROCESS = "its caller is in the same process, so no route of the mesh was taken"
_CAUSES = {
    pb.AbsentHost.CAUSE_LEFT: "it drained and left",
    pb.AbsentHost.CAUSE_LEASE_ENDED: "its lease had ended",
    pb.AbsentHost.CAUSE_DAMPED: "its lease had run out too often",
    pb.AbsentHost.CAUSE_DISPLACED: "another host had its port",
    pb.AbsentHost.CAUSE_DRAINED: "drained by the traffic policy",
    pb.AbsentHost.CAUSE_NOT_SERVING: "the agent did not serve there",
}


@dataclass(frozen=True, slots=True)
class Decided:
    """A call, and what control told clients then; None with the reason why that is not known.
    `host` is the registry's name of the one that served it, or the log's.
    """

    call: Served
    host: str
    told: pb.ExplainRouteResponse | None = None
    unknown: str = ""

    @property
    def remark(self) -> str:
        """What must be known to read the rest; empty: nothing."""
        if self.call.in_process:
            return _IN_PROCESS
        if self.told is None:
            return self.unknown
        if not any(one.host == self.host for one in _endpoints(self.told)):
            return (
                f"{self.host} was no endpoint of it: the call was made at its address, or by a "
                "client that had not heard of this revision"
            )
        if self.told.revision > 1 and self.call.began - _moment(self.told.since_time) < (
            _HEARD_WITHIN
        ):
            return "it had been told for less than a second, so the client may not have heard of it"
        return ""


def value_of(one: Decided) -> dict[str, Any]:
    """For --json."""
    call = one.call
    return {
        "host": one.host,
        "rpc": call.rpc,
        "time": rfc3339(call.began),
        "duration_ms": call.duration_ms,
        "code": call.code,
        "reason": call.reason,
        "instance": call.instance,
        "peer": call.peer,
        "in_process": call.in_process,
        "decided": None if one.told is None else _decided(one.told),
        "remark": one.remark,
    }


def _decided(told: pb.ExplainRouteResponse) -> dict[str, Any]:
    is_over = told.HasField("until_time")
    return {
        "revision": told.revision,
        "since": rfc3339(_moment(told.since_time)),
        "until": rfc3339(_moment(told.until_time)) if is_over else None,
        "policy_version": told.policy_version,
        "routes_version": told.routes_version,
        "match": told.route.match,
        "targets": [
            {
                "cluster": target.cluster,
                "weight": target.weight,
                "version": target.version,
                "endpoints": [_endpoint(each) for each in target.endpoints],
            }
            for target in told.route.targets
        ],
        "left_out": [
            {"host": each.host, "machine": each.machine, "version": each.version}
            | {"cause": _CAUSES.get(each.cause, "")}
            for each in told.route.left_out
        ],
        "preferences": [
            {"header": each.header, "value": each.value, "version": each.version}
            for each in told.preferences
        ],
        "fault": _fault(told),
    }


def _endpoint(one: pb.RouteEndpoint) -> dict[str, Any]:
    return {
        "host": one.host,
        "machine": one.machine,
        "target": one.target,
        "version": one.version,
        "priority": one.priority,
        "kept": one.kept,
    }


def lines_of(one: Decided) -> Iterator[str]:
    """A paragraph."""
    call = one.call
    ended = f"{call.code}/{call.reason}" if call.reason else call.code
    asked = f" (asked for {call.instance})" if call.instance else ""
    began = call.began.astimezone().strftime("%H:%M:%S.%f")[:-3]
    yield f"{began}  {call.rpc}{asked}: {one.host} served it, {ended} after {call.duration_ms:g} ms"
    if one.told is not None:
        yield from (f"    {line}" for line in _told_lines(one.told, one.host))
    if one.remark:
        yield f"    {one.remark}."


def text_of(calls: list[Decided]) -> str:
    """All of them, harmless to a terminal."""
    return "\n".join(one_line(line) for one in calls for line in lines_of(one))


def _told_lines(told: pb.ExplainRouteResponse, served_by: str) -> Iterator[str]:
    since = _moment(told.since_time).astimezone().strftime("%m-%d %H:%M:%S")
    policy = f"policy v{told.policy_version}" if told.policy_version else "no policy"
    over = "" if told.HasField("until_time") else ", and still is"
    yield f"revision {told.revision} ({policy}), told since {since}{over}"
    if not told.HasField("route"):
        yield "there was no route"
        return
    yield from _target_lines(told, served_by)
    for absent in told.route.left_out:
        yield f"left out: {absent.host}, {_CAUSES.get(absent.cause, 'for no known cause')}"
    for each in told.preferences:
        yield f"with the header {each.header}: {each.value} it would have gone to {each.version}"
    if (fault := _fault(told)) is not None:
        delayed = f"{fault['delay_s']:g} s late" if fault["delay_s"] else ""
        ended = str(fault["code"]) if fault["code"] != "OK" else ""
        what = ", then ".join(part for part in (delayed, ended) if part)
        yield f"fault of the policy for {fault['percent']:g} % of the calls: {what}"


def _target_lines(told: pb.ExplainRouteResponse, served_by: str) -> Iterator[str]:
    total = sum(target.weight for target in told.route.targets)
    for target in told.route.targets:
        share = f", {100 * target.weight / total:.4g} % of the calls"
        yield f"route {told.route.match or '(any other)'} -> {target.cluster}{share}"
        if target.cluster == NOWHERE:
            yield "  nobody has that instance"
        for each in target.endpoints:
            version = f", version {each.version}" if each.version else ""
            kept = ", told though its lease had ended" if each.kept else ""
            mark = "  <- served it" if each.host == served_by else ""
            where = f"{each.host} at {each.target}, machine {each.machine}{version}{kept}"
            yield f"  priority {each.priority}: {where}{mark}"


def _fault(told: pb.ExplainRouteResponse) -> dict[str, Any] | None:
    if not told.HasField("fault"):
        return None
    fault = told.fault
    return {
        "percent": fault.percent,
        "code": code_pb2.Code.Name(fault.abort_code),
        "delay_s": fault.delay.ToTimedelta().total_seconds(),
    }


def _endpoints(told: pb.ExplainRouteResponse) -> Iterator[pb.RouteEndpoint]:
    return (one for target in told.route.targets for one in target.endpoints)


def _moment(told: Timestamp) -> datetime:
    return told.ToDatetime(UTC)
