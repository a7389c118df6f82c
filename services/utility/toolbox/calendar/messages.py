"""Between the contract's times and Python's."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from services.utility.toolbox.calendar import zones
from tandem.utility.v1 import calendar_pb2 as pb

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

POLICIES: Final[dict[int, zones.Policy]] = {
    pb.CLOCK_CHANGE_POLICY_UNSPECIFIED: zones.Policy.REJECT,
    pb.CLOCK_CHANGE_POLICY_REJECT: zones.Policy.REJECT,
    pb.CLOCK_CHANGE_POLICY_EARLIER: zones.Policy.EARLIER,
    pb.CLOCK_CHANGE_POLICY_LATER: zones.Policy.LATER,
}
_READINGS: Final = {
    zones.Reading.UNIQUE: pb.CLOCK_READING_UNIQUE,
    zones.Reading.FIRST_OF_TWO: pb.CLOCK_READING_FIRST_OF_TWO,
    zones.Reading.SECOND_OF_TWO: pb.CLOCK_READING_SECOND_OF_TWO,
    zones.Reading.MOVED: pb.CLOCK_READING_MOVED,
}


def date_of(message: pb.CivilDate) -> date:
    return date(message.year, message.month, message.day)


def date_message(day: date) -> pb.CivilDate:
    return pb.CivilDate(year=day.year, month=day.month, day=day.day)


def civil_of(message: pb.CivilTime) -> datetime:
    clock = time(message.hour, message.minute, message.second, message.microsecond)
    return datetime.combine(date_of(message.date), clock)


def civil_message(civil: datetime) -> pb.CivilTime:
    return pb.CivilTime(
        date=date_message(civil.date()),
        hour=civil.hour,
        minute=civil.minute,
        second=civil.second,
        microsecond=civil.microsecond,
    )


def moment_of(message: pb.LocalTime, field: str) -> zones.Moment:
    """The instant of a local time, by its own policy."""
    place = zones.zone(message.time_zone, field=f"{field}.time_zone")
    policy = POLICIES[message.policy]
    civil = civil_of(message.civil_time)
    return zones.resolve(civil, place, policy, field=f"{field}.civil_time")


def moment_message(moment: zones.Moment) -> pb.ZonedTime:
    offset = moment.local.utcoffset() or timedelta()
    return pb.ZonedTime(
        civil_time=civil_message(moment.local),
        time_zone=moment.zone.key,
        instant=instant_message(moment.instant),
        utc_offset=duration_message(offset),
        abbreviation=moment.local.tzname() or "",
        daylight_saving=bool(moment.local.dst()),
        reading=_READINGS[moment.reading],
    )


def instant_of(message: Timestamp) -> datetime:
    """An instant to the microsecond; the message may say times that the calendar does not hold."""
    try:
        return EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
    except OverflowError as beyond:
        raise zones.out_of_range() from beyond


def instant_message(instant: datetime) -> Timestamp:
    since = instant - EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def length_of(message: Duration) -> timedelta:
    """A duration to the microsecond, cut towards zero."""
    micros = abs(message.nanos) // 1000 * (1 if message.nanos >= 0 else -1)
    return timedelta(seconds=message.seconds, microseconds=micros)


def duration_message(length: timedelta) -> Duration:
    """Seconds and nanoseconds of one sign, as the type demands."""
    micros = length // timedelta(microseconds=1)
    sign = 1 if micros >= 0 else -1
    seconds, rest = divmod(abs(micros), 1_000_000)
    return Duration(seconds=sign * seconds, nanos=sign * rest * 1000)
