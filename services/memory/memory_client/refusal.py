"""Why the client itself refuses, in the words of the contract."""

from __future__ import annotations

from functools import partial
from typing import Final

from tandem.memory.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting import refusing

_RETRY_S: Final = 1.0
storing = partial(
    refusing.storing, errors.ERROR_REASON_STORE_UNREACHABLE, errors.ERROR_REASON_STORE_DAMAGED
)
page_start = partial(refusing.page_start, reason=errors.ERROR_REASON_PAGE_TOKEN_INVALID)


def unreachable(cause: str) -> TransientError:
    reason = errors.ERROR_REASON_ORCHESTRATOR_UNREACHABLE
    message = "the orchestrator cannot be reached, and there is no copy here"
    return TransientError(reason, message, retry_after_s=_RETRY_S, cause=cause)


def full(writes: int, size_bytes: int) -> CallerError:
    reason = errors.ERROR_REASON_JOURNAL_FULL
    message = (
        "the orchestrator cannot be reached and the journal is full: raise journal_max or "
        "journal_bytes_max, or wait until it is back"
    )
    return CallerError(reason, message, writes=writes, bytes=size_bytes)


def waiting(number: int) -> CallerError:
    reason = errors.ERROR_REASON_JOURNAL_ENTRY_WAITING
    message = "the write was not refused: it waits for its turn"
    return CallerError(reason, message, field="number", number=number)
