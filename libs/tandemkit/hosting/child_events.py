"""What a supervisor reports, as the content of an event: tandem.control.v1.ChildEvent."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import Message

from tandem.control.v1 import child_event_pb2 as pb
from tandem.control.v1 import traffic_policy_pb2 as policy
from tandemkit.supervise.reports import (
    Asked,
    Cancelled,
    Cause,
    Exited,
    Happening,
    Killed,
    NotReady,
    Raised,
    Report,
    Returned,
    Sibling,
)

_STEPS = {
    Happening.RESTARTING: pb.CHILD_STEP_RESTARTING,
    Happening.UP: pb.CHILD_STEP_UP,
    Happening.ENDED: pb.CHILD_STEP_ENDED,
    Happening.FAILED: pb.CHILD_STEP_FAILED,
    Happening.OVERRAN: pb.CHILD_STEP_OVERRAN,
    Happening.ADDED: pb.CHILD_STEP_ADDED,
    Happening.REMOVED: pb.CHILD_STEP_REMOVED,
    Happening.SUSPENDED: pb.CHILD_STEP_SUSPENDED,
    Happening.RESUMED: pb.CHILD_STEP_RESUMED,
    Happening.ESCALATED: pb.CHILD_STEP_ESCALATED,
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Who reports: a host of a machine, or, without one, the machine's supervisor."""

    machine: str
    host: str = ""

    @property
    def stream(self) -> str:
        return "/".join(filter(None, ("machines", self.machine, self.host)))


class Notable:
    """Of all reports those that somebody will ask for: not that everything started in the morning,
    and not that it ended in the evening.
    """

    def __init__(self) -> None:
        self._fallen: set[str] = set()

    def is_notable(self, report: Report) -> bool:
        match report.happening:
            case Happening.UP:
                was_down = report.path in self._fallen
                self._fallen.discard(report.path)
                return was_down
            case Happening.STARTING | Happening.STOPPING | Happening.STOPPED:
                return False
            case Happening.FAILED | Happening.RESTARTING | Happening.RESUMED | Happening.ADDED:
                self._fallen.add(report.path)
        return True


def child_event(report: Report, origin: Origin) -> pb.ChildEvent:
    """The report as it is recorded."""
    event = pb.ChildEvent(
        machine=origin.machine,
        host=origin.host,
        child=report.path,
        step=_STEPS[report.happening],
        failures=report.failures,
    )
    event.time.FromDatetime(report.at)
    if report.cause is not None:
        event.cause.CopyFrom(_cause(report.cause))
        if report.happening is Happening.RESTARTING:
            _without_last_words(event.cause)
    if report.restart_in_s is not None:
        event.restart_in.FromNanoseconds(int(report.restart_in_s * 1e9))
    return event


def _without_last_words(cause: pb.ChildCause) -> None:
    """The event before has them, and they are the largest part of both."""
    if cause.HasField("exited"):
        cause.exited.ClearField("log_tail")
    if cause.HasField("killed"):
        cause.killed.ClearField("log_tail")


def _cause(cause: Cause) -> pb.ChildCause:
    said = pb.ChildCause()
    match cause:
        case Raised():
            links = (
                pb.RaisedLink(kind=one.kind, message=one.message, where=one.where)
                for one in cause.chain
            )
            said.raised.chain.extend(links)
        case Exited():
            said.exited.CopyFrom(
                pb.ExitedCause(status=cause.status, signal=cause.signal, log_tail=cause.log_tail)
            )
        case Killed():
            said.killed.CopyFrom(pb.KilledCause(why=cause.why, log_tail=cause.log_tail))
        case NotReady():
            said.not_ready_within.FromNanoseconds(int(cause.within_s * 1e9))
        case Sibling():
            said.sibling = cause.name
        case Asked():
            said.asked.CopyFrom(policy.ChangeNote(author=cause.by, reason=cause.why))
        case _:
            _present(said, cause).SetInParent()
    return said


def _present(said: pb.ChildCause, cause: Cause) -> Message:
    """The one of those without a field."""
    if isinstance(cause, Returned):
        return said.returned
    return said.cancelled if isinstance(cause, Cancelled) else said.ending
