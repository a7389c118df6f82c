"""Why a schedule is not kept or found, in the words of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tandem.tasks.v1 import errors_pb2 as errors
from tandem.tasks.v1.schedule_pb2 import Schedule
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.rpc.paging import TokenInvalid, name_in
from tandemkit.storage.failure import Damaged

_RETRY_S: Final = 1.0


@contextmanager
def storing() -> Iterator[None]:
    """What the store raises, in the words of the contract."""
    try:
        yield
    except (Unreachable, Refused) as error:
        reason = errors.ERROR_REASON_STORE_UNREACHABLE
        raise TransientError(reason, error.message, retry_after_s=_RETRY_S) from error
    except Damaged as error:
        raise CallerError(errors.ERROR_REASON_STORE_DAMAGED, error.message) from error


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


def page_start(token: str, scope: str) -> str:
    """Behind which name a page begins. Raises CallerError."""
    try:
        return name_in(token, scope) if token else ""
    except TokenInvalid as error:
        reason = errors.ERROR_REASON_PAGE_TOKEN_INVALID
        said = "the page token belongs to no page of this listing"
        raise CallerError(reason, said, field="page_token") from error
