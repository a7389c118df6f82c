"""Why a session cannot be used so, in the words of the contract."""

from __future__ import annotations

from functools import partial

from tandem.memory.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError
from tandemkit.hosting import refusing

storing = partial(
    refusing.storing, errors.ERROR_REASON_STORE_UNREACHABLE, errors.ERROR_REASON_STORE_DAMAGED
)
page = partial(refusing.page, reason=errors.ERROR_REASON_PAGE_TOKEN_INVALID)


def missing(name: str) -> CallerError:
    reason = errors.ERROR_REASON_SESSION_NOT_FOUND
    return CallerError(reason, "there is no such session", field="session", session=name)


def closed(name: str) -> CallerError:
    reason = errors.ERROR_REASON_SESSION_CLOSED
    return CallerError(reason, "the session takes no more turns", field="session", session=name)


def taken(turn_id: str) -> CallerError:
    reason = errors.ERROR_REASON_TURN_EXISTS
    message = "something else was said under that turn id"
    return CallerError(reason, message, field="turn_id", turn_id=turn_id)


def deleted(turn_id: str) -> CallerError:
    reason = errors.ERROR_REASON_TURN_DELETED
    message = "the turn was deleted, and is not written again"
    return CallerError(reason, message, field="turn_id", turn_id=turn_id)


def full(sessions: int) -> CallerError:
    reason = errors.ERROR_REASON_SESSIONS_FULL
    message = "there are as many sessions as the setting sessions_max allows: delete some"
    return CallerError(reason, message, field="session", sessions=sessions)
