"""Local times that a change of the clock skips or repeats."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from zoneinfo import ZoneInfo

from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError
from tandemkit.written.zones import zone_of


class Policy(Enum):
    """What to do with a local time that is skipped or repeated."""

    REJECT = 1
    EARLIER = 2
    LATER = 3


class Reading(Enum):
    """How an instant relates to the wall clock that was asked about."""

    UNIQUE = 1
    FIRST_OF_TWO = 2
    SECOND_OF_TWO = 3
    MOVED = 4


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant as seen in one zone. `local.tzinfo` is always a `ZoneInfo` with a key."""

    local: datetime
    reading: Reading

    @property
    def instant(self) -> datetime:
        """The same in UTC. Differences between instants are exact; between local times they
        are not.
        """
        return self.local.astimezone(UTC)

    @property
    def zone(self) -> ZoneInfo:
        """The zone it is seen in."""
        zone = self.local.tzinfo
        assert isinstance(zone, ZoneInfo)
        return zone


def zone(name: str, *, field: str) -> ZoneInfo:
    """The zone of that name, or TIME_ZONE_UNKNOWN."""
    found = zone_of(name)
    if found is None:
        raise CallerError(
            errors.ERROR_REASON_TIME_ZONE_UNKNOWN,
            "there is no such time zone",
            field=field,
            time_zone=name,
        )
    return found


def see(instant: datetime, place: ZoneInfo) -> Moment:
    """What a clock in `place` shows at an instant."""
    try:
        local = instant.astimezone(place)
        twin = local.replace(fold=1 - local.fold)
        repeated = twin.utcoffset() != local.utcoffset()
    except (OverflowError, ValueError) as beyond:
        raise out_of_range() from beyond
    if not repeated:
        return Moment(local, Reading.UNIQUE)
    return Moment(local, Reading.SECOND_OF_TWO if local.fold else Reading.FIRST_OF_TWO)


def resolve(civil: datetime, place: ZoneInfo, policy: Policy, *, field: str) -> Moment:
    """The instant at which a clock in `place` shows `civil`.

    Offsets of the two folds differ exactly where the clock is changed (PEP 495): the first is the
    larger where time repeats, the smaller where it skips.
    """
    try:
        first, second = (civil.replace(tzinfo=place, fold=fold) for fold in (0, 1))
        before, after = first.utcoffset(), second.utcoffset()
        assert before is not None
        assert after is not None
        if before == after:
            return see(first.astimezone(UTC), place)
        if policy is Policy.REJECT:
            raise _refusal(civil, place, skipped=before < after, field=field)
        if before > after:
            return see((first if policy is Policy.EARLIER else second).astimezone(UTC), place)
        moved = second if policy is Policy.EARLIER else first
        return Moment(moved.astimezone(UTC).astimezone(place), Reading.MOVED)
    except (OverflowError, ValueError) as beyond:
        raise out_of_range() from beyond


def out_of_range() -> CallerError:
    """The failure of every calculation that leaves the calendar."""
    return CallerError(
        errors.ERROR_REASON_TIME_OUT_OF_RANGE, "the result lies outside the years 1 to 9999"
    )


def _refusal(civil: datetime, place: ZoneInfo, *, skipped: bool, field: str) -> CallerError:
    reason, message = (
        (errors.ERROR_REASON_LOCAL_TIME_SKIPPED, "the clock skips this local time")
        if skipped
        else (errors.ERROR_REASON_LOCAL_TIME_REPEATED, "the clock shows this local time twice")
    )
    return CallerError(
        reason, message, field=field, local_time=civil.isoformat(), time_zone=place.key
    )
