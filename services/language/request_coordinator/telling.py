"""A stream of an answer, as it is told: with a token in each message, and behind a cut from where
it broke. The answer is made again; what was told of it is compared and not told twice.
"""

from __future__ import annotations

from services.language.request_coordinator.asked import Piece
from services.language.request_coordinator.coordinator import Event
from tandem.language.v1 import errors_pb2 as errors
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandemkit.core.errors import CallerError
from tandemkit.rpc.resume_token import Course, Differs, Mark, TokenInvalid, digest_of, read

# Counts as a character of what was told, so that a token behind it is none of the beginning.
_STARTED = "\x00"


class Telling:
    """Of one request. `correlation_id` is that of the stream which broke; empty for a new one."""

    def __init__(self, request: pb.StreamAskRequest) -> None:
        mark = _mark(request)
        self.is_over = mark is not None and mark.is_over
        missing, self.correlation_id = _unpinned(mark.pinned) if mark else (0, "")
        self._missing_told, self._missing = missing, 0
        self._course = Course(digest_of(request), b"", mark)

    def told(self, event: Event, correlation_id: str) -> pb.StreamAskResponse | None:
        """None where all of it was told before. Raises CallerError STREAM_NOT_RESUMABLE."""
        try:
            message = self._message(event)
        except Differs as error:
            raise CallerError(
                errors.ERROR_REASON_STREAM_NOT_RESUMABLE,
                "the answer is not what it was when the stream broke; ask again without a token",
            ) from error
        if message is not None:
            is_over = isinstance(event, pb.AskResponse)
            pinned = f"{self._missing}:{correlation_id}".encode()
            message.resume_token = self._course.token(is_over=is_over, pinned=pinned)
        return message

    def _message(self, event: Event) -> pb.StreamAskResponse | None:
        if isinstance(event, pb.Started):
            known = self._course.known(_STARTED)
            self._course.tell(_STARTED)
            return None if known else pb.StreamAskResponse(started=event)
        if isinstance(event, Piece):
            known = self._course.known(event.text)
            self._course.tell(event.text)
            rest = event.text[known:]
            return pb.StreamAskResponse(piece=pb.Piece(text=rest)) if rest else None
        if isinstance(event, pb.AskResponse):
            self._course.end()
            return pb.StreamAskResponse(finished=event)
        self._missing += 1
        is_known = self._missing <= self._missing_told
        return None if is_known else pb.StreamAskResponse(shortfall=event)


def _mark(request: pb.StreamAskRequest) -> Mark | None:
    if not request.resume_token:
        return None
    try:
        mark = read(request.resume_token, request)
        _unpinned(mark.pinned)
    except (TokenInvalid, ValueError) as error:
        raise CallerError(
            errors.ERROR_REASON_RESUME_TOKEN_INVALID,
            "no stream of this request gave out the token; ask again without one",
            field="resume_token",
        ) from error
    return mark


def _unpinned(pinned: bytes) -> tuple[int, str]:
    """Raises ValueError."""
    count, _, correlation_id = pinned.decode("ascii").partition(":")
    if not correlation_id:
        raise ValueError("it names no request")
    return int(count), correlation_id
