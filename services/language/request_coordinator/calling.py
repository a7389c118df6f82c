"""Calls of other agents that end in time, and what is said of those who did not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from services.language.request_coordinator.asked import Asked
from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import errors_pb2 as errors
from tandemkit.core.errors import TransientError
from tandemkit.rpc.failure import Refused
from tandemkit.rpc.remote import CallFailed, RemoteFailure, calling
from tandemkit.rpc.trace import CORRELATION_HEADER

_RETRY_S: Final = 1.0
# What asking somebody else would not change.
_CALLERS_OWN: Final = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED"})
_WORDS: Final = {
    "DEADLINE_EXCEEDED": "it did not answer in time",
    "UNAVAILABLE": "it is not there",
    "RESOURCE_EXHAUSTED": "it has more to do than it can",
}
Response = TypeVar("Response")


class Unanswered(Exception):
    """One agent gave no answer."""

    def __init__(self, shortfall: nouns.Shortfall, found: RemoteFailure) -> None:
        super().__init__(shortfall.cause)
        self.shortfall, self.found = shortfall, found


def headers(asked: Asked) -> tuple[tuple[str, str]]:
    """What each call carries that is made for a request."""
    return ((CORRELATION_HEADER, asked.correlation_id),)


async def called(
    service: str, call: Callable[[float], Awaitable[Response]], within_s: float
) -> Response:
    """What the agent answers in that time. Raises Unanswered; what the caller has no right to ends
    its own call, in the words of who refused it.
    """
    try:
        with calling():
            return await call(within_s)
    except CallFailed as error:
        raise unanswered(service, error.found) from error


def unanswered(service: str, found: RemoteFailure) -> Unanswered:
    """What becomes of a failed call. Raises Refused where the caller has not the right."""
    if found.code.name in _CALLERS_OWN:
        raise Refused(found.as_said)
    cause = _WORDS.get(found.code.name, found.message)
    if found.reason:
        cause = f"{cause} ({found.reason})"
    return Unanswered(nouns.Shortfall(service=service, cause=cause, code=found.code.name), found)


async def gathered(
    *calls: Callable[[], Awaitable[Response]],
) -> tuple[list[Response], list[Unanswered]]:
    """What those say who answer, in the order of the calls, and who does not. Nothing is begun
    where the caller has hung up before, and nothing goes on where it has not the right to one.
    """
    missing: list[Unanswered] = []

    async def tried(call: Callable[[], Awaitable[Response]]) -> list[Response]:
        try:
            return [await call()]
        except Unanswered as error:
            missing.append(error)
            return []

    try:
        async with asyncio.TaskGroup() as group:
            heard = [group.create_task(tried(one)) for one in calls]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return [one for found in heard for one in found.result()], missing


def nobody_answered(missing: Sequence[Unanswered]) -> TransientError:
    """Of all who could answer."""
    waits = [one.found.retry_after_s for one in missing if one.found.retry_after_s is not None]
    said = {one.shortfall.service.rpartition(".")[2]: one.shortfall.cause for one in missing}
    return TransientError(
        errors.ERROR_REASON_NOBODY_ANSWERED,
        "nobody who could answer did, so it is not known whether there is an answer; try again, "
        "and see `./tandem status` if it stays so",
        retry_after_s=max(waits, default=_RETRY_S),
        **said,
    )
