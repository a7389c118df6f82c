"""Why a schedule is not kept or found, in the words of the contract."""

from __future__ import annotations

from functools import partial

from tandem.tasks.v1 import errors_pb2 as errors
from tandem.tasks.v1.schedule_pb2 import Schedule
from tandemkit.core.errors import CallerError
from tandemkit.hosting import refusing

storing = partial(
    refusing.storing, errors.ERROR_REASON_STORE_UNREACHABLE, errors.ERROR_REASON_STORE_DAMAGED
)
page_start = partial(refusing.page_start, reason=errors.ERROR_REASON_PAGE_TOKEN_INVALID)


def missing(name: str) -> CallerError:
    reason = errors.ERROR_REASON_SCHEDULE_NOT_FOUND
    return CallerError(reason, "there is no such schedule", field="name", name=name)


def expect(schedule: Schedule, version: int) -> None:
    """Raises CallerError where it has another version."""
    if schedule.version != version:
        raise CallerError(
            errors.ERROR_REASON_SCHEDULE_VERSION_CONFLICT,
            "the schedule has another version",
            field="expected_version",
            expected=version,
            actual=schedule.version,
        )


def exists(name: str) -> CallerError:
    reason = errors.ERROR_REASON_SCHEDULE_EXISTS
    return CallerError(reason, "another plan has that id", field="schedule_id", schedule=name)
