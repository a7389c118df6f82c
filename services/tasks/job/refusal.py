"""Why a job is not accepted or found, in the words of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from tandem.tasks.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting import refusing
from tandemkit.reach.failure import Unreachable

_RETRY_S: Final = 1.0
storing = partial(refusing.storing, errors.ERROR_REASON_STORE_UNREACHABLE)
page_start = partial(refusing.page_start, reason=errors.ERROR_REASON_PAGE_TOKEN_INVALID)


@contextmanager
def queueing() -> Iterator[None]:
    """What the queue raises."""
    try:
        yield
    except Unreachable as error:
        reason = errors.ERROR_REASON_QUEUE_UNREACHABLE
        raise TransientError(reason, error.message, retry_after_s=_RETRY_S) from error


def missing(name: str) -> CallerError:
    reason = errors.ERROR_REASON_JOB_NOT_FOUND
    return CallerError(reason, "there is no such job", field="name", name=name)


def over(name: str) -> CallerError:
    reason = errors.ERROR_REASON_JOB_ENDED
    return CallerError(reason, "the job has ended", field="name", name=name)


def id_taken(name: str) -> CallerError:
    reason = errors.ERROR_REASON_REQUEST_ID_TAKEN
    said = "another job was submitted with this request id"
    return CallerError(reason, said, field="request_id", job=name)


def untimely(field: str, why: str) -> CallerError:
    reason = errors.ERROR_REASON_JOB_TIME_INVALID
    return CallerError(reason, "the job cannot be done at that time", field=field, why=why)
