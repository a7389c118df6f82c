"""Plans as their makers wrote them, in the terms of the calendar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from services.tasks.scheduler.cron import CronInvalid, read_cron
from services.tasks.scheduler.triggers import Every, OnCalendar, Once, Trigger, Until
from tandem.tasks.v1 import errors_pb2 as errors
from tandem.tasks.v1 import schedule_pb2 as pb
from tandemkit.core.errors import CallerError
from tandemkit.written.zones import zone_of

PREFIX: Final = "schedules/"
_GRACE = timedelta(seconds=10)
_CATCH_UP_MAX, _ATTEMPTS_MAX = 10, 3
_FIRST_WAIT, _WAIT_MAX = timedelta(seconds=1), timedelta(minutes=1)


def moment(told: Timestamp) -> datetime:
    return told.ToDatetime(UTC)


def trigger_of(said: pb.Trigger, made: datetime, *, field: str = "plan.trigger") -> Trigger:
    """`made` is when the plan became what it is. Raises CallerError for times that mean nothing,
    which names the `field` that they stand in.
    """
    kind = said.WhichOneof("kind")
    found: Trigger
    if kind == "at":
        found = Once(moment(said.at))
    elif kind == "every":
        period = said.every.period.ToTimedelta()
        has_anchor = said.every.HasField("anchor")
        found = Every(moment(said.every.anchor) if has_anchor else made + period, period)
    else:
        found = _on_calendar(said.cron, f"{field}.cron")
    return Until(found, moment(said.end_time)) if said.HasField("end_time") else found


def _on_calendar(said: pb.CronTimes, field: str) -> OnCalendar:
    zone = zone_of(said.time_zone or "UTC")
    if zone is None:
        raise CallerError(
            errors.ERROR_REASON_TIME_ZONE_UNKNOWN,
            "there is no such time zone",
            field=f"{field}.time_zone",
            time_zone=said.time_zone,
        )
    try:
        return OnCalendar(read_cron(said.expression), zone)
    except CronInvalid as error:
        raise CallerError(
            errors.ERROR_REASON_CRON_INVALID,
            error.message,
            field=f"{field}.expression",
            **error.metadata,
        ) from error


@dataclass(frozen=True, slots=True)
class Missing:
    """What becomes of missed times: how late is on time, and how many of the others are made up
    for.
    """

    grace: timedelta
    made_up_max: int

    @classmethod
    def of(cls, said: pb.Misfire) -> Missing:
        grace = said.grace.ToTimedelta() if said.HasField("grace") else _GRACE
        if said.policy == pb.MISFIRE_POLICY_SKIP:
            return cls(grace, 0)
        if said.policy == pb.MISFIRE_POLICY_CATCH_UP:
            return cls(grace, said.catch_up_max or _CATCH_UP_MAX)
        return cls(grace, 1)


def pause_before(said: pb.FiringRetry, attempts: int) -> timedelta | None:
    """How long to wait after so many attempts; None: they are used up."""
    if attempts >= (said.attempts_max or _ATTEMPTS_MAX):
        return None
    first = said.first_wait.ToTimedelta() if said.HasField("first_wait") else _FIRST_WAIT
    longest = said.wait_max.ToTimedelta() if said.HasField("wait_max") else _WAIT_MAX
    return min(first * (1 << (attempts - 1)), max(first, longest))
