"""Streams of answers that go on behind a cut: who answered is asked again with the same seed, and
what was delivered is compared and left out.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeAlias

from services.models.model.catalog import Catalog
from services.models.model.tries import Chain, Part, Seat, Tries
from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import errors_pb2 as errors
from tandem.models.v1 import model_pb2 as nouns
from tandem.models.v1 import model_service_pb2 as pb
from tandemkit.core.clock import Clock
from tandemkit.core.errors import CallerError
from tandemkit.ml.generation.protocol import ModelGone
from tandemkit.rpc import resume_token
from tandemkit.rpc.resume_token import Course, Differs, Mark, TokenInvalid

Asked: TypeAlias = pb.StreamChatRequest | pb.StreamCompleteRequest
_RESUMABLE: Final = nouns.MODEL_FEATURE_RESUMABLE
_ID_BYTES: Final = 12
_SEED_BITS: Final = 31
# When it was begun, in ns since 1970; the seed; whether somebody stands in; the answer's id.
_PINNED: Final = struct.Struct(f">qq?{_ID_BYTES}s")


@dataclass(frozen=True, slots=True)
class Pinned:
    """What an answer keeps, however often it is cut. `seed` counts where the caller gave none."""

    created_ns: int
    seed: int
    is_fallback: bool
    answer: bytes

    def __bytes__(self) -> bytes:
        return _PINNED.pack(self.created_ns, self.seed, self.is_fallback, self.answer)


class Resumable(Generic[Part]):
    """One stream, from its beginning or behind the token of its request."""

    def __init__(self, request: Asked, kind: str, clock: Clock) -> None:
        """Raises CallerError."""
        self._request, self._kind = request, kind
        self._behind: Mark | None = None
        self._seat = ""
        now_ns = int(clock.now().timestamp() * 1e9)
        seed, name = secrets.randbits(_SEED_BITS), secrets.token_bytes(_ID_BYTES)
        self._pinned = Pinned(now_ns, seed, is_fallback=False, answer=name)
        if not request.resume_token:
            self._asked = resume_token.digest_of(request)
            return
        try:
            self._behind = resume_token.read(request.resume_token, request)
            self._pinned, self._seat = _read(self._behind.pinned)
        except TokenInvalid as error:
            reason = errors.ERROR_REASON_RESUME_TOKEN_INVALID
            message = "the resume token is none that was given out for this request"
            raise CallerError(reason, message, field=resume_token.FIELD, cause=error) from error
        self._asked = self._behind.asked

    @property
    def is_over(self) -> bool:
        """Whether all of it was delivered."""
        return self._behind is not None and self._behind.is_over

    async def chain(self, catalog: Catalog, name: str) -> Chain:
        """Who may answer: behind a token, who did. Raises ModelGone, CallerError."""
        if self._behind is None:
            return await catalog.chain(name)
        try:
            chain = await catalog.chain(self._seat)
        except ModelGone as error:
            raise _lost("the model that answered is gone", self._seat) from error
        if _RESUMABLE not in chain.seats[0].place.backend.nature.features:
            raise _lost("the backend does not give the same answer again", self._seat)
        cause = "it stood in before the cut too" if self._pinned.is_fallback else ""
        return Chain(chain.seats, cause)

    def seeded(self, seat: Seat) -> Asked:
        """The request, with a seed where the backend keeps one and the caller gave none."""
        features = seat.place.backend.nature.features
        if self._request.sampling.HasField("seed") or _RESUMABLE not in features:
            return self._request
        found: Asked = _copied(self._request)
        found.sampling.seed = self._pinned.seed
        return found

    async def parts(
        self, tries: Tries, begin: Callable[[Seat, Any], AsyncGenerator[Part, None]]
    ) -> AsyncGenerator[Part, None]:
        """Those that were not delivered. Raises CallerError where the others are not what was."""
        seat = tries.seat
        pinned = replace(self._pinned, is_fallback=tries.answerer.is_fallback)
        course = Course(self._asked, bytes(pinned) + seat.name.encode(), self._behind)
        try:
            async with aclosing(begin(seat, self.seeded(seat))) as parts:
                async for part in parts:
                    told = _told(part)
                    if known := course.known(told):
                        _leave_out(part, known)
                    course.tell(told)
                    is_over = bool(part.finish_reason)
                    if is_over:
                        course.end()
                    if is_over or known < len(told):
                        part.resume_token = course.token(is_over=is_over)
                        yield part
        except Differs as error:
            raise _lost("the backend gives another answer now", seat.name) from error

    def sign(self, part: Part) -> None:
        """The first of the stream."""
        pinned = self._pinned
        part.response_id = f"{self._kind}-{pinned.answer.hex()}"
        part.created.FromNanoseconds(pinned.created_ns)


def _copied(request: Any) -> Any:
    """A quarter of the time that `deepcopy` takes."""
    found = type(request)()
    found.CopyFrom(request)
    return found


def _read(pinned: bytes) -> tuple[Pinned, str]:
    try:
        found = Pinned(*_PINNED.unpack_from(pinned))
        return found, pinned[_PINNED.size :].decode()
    except (struct.error, UnicodeDecodeError) as error:
        raise TokenInvalid("it is no token of an answer") from error


def _told(part: pb.StreamChatResponse | pb.StreamCompleteResponse) -> str:
    """All that is delivered by a part, however an answer is parted."""
    if isinstance(part, pb.StreamCompleteResponse) or not part.tool_calls:
        return part.text
    return part.text + "".join(map(_call, part.tool_calls))


def _head(call: chat.ToolCallDelta) -> str:
    return f"\0{call.index}\0{call.id}\0{call.name}\0" if call.name else ""


def _call(call: chat.ToolCallDelta) -> str:
    return _head(call) + call.arguments_json


def _leave_out(part: pb.StreamChatResponse | pb.StreamCompleteResponse, known: int) -> None:
    """The first characters of what it tells."""
    of_text = min(known, len(part.text))
    part.text, known = part.text[of_text:], known - of_text
    if isinstance(part, pb.StreamCompleteResponse):
        return
    left = []
    for call in part.tool_calls:
        told = len(_call(call))
        if known < told:
            left.append(_behind(call, known) if known else call)
        known = max(0, known - told)
    del part.tool_calls[:]
    part.tool_calls.extend(left)


def _behind(call: chat.ToolCallDelta, known: int) -> chat.ToolCallDelta:
    """What of it was not delivered. Its name was, with the first characters."""
    at = max(0, known - len(_head(call)))
    return chat.ToolCallDelta(index=call.index, arguments_json=call.arguments_json[at:])


def _lost(message: str, model: str) -> CallerError:
    reason = errors.ERROR_REASON_STREAM_NOT_RESUMABLE
    return CallerError(reason, f"{message}: what was delivered cannot be gone on with", model=model)
