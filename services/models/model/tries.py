"""Which model is asked, how often, and who stands in: the requirements' figures (R027), where a
repetition is safe and nobody else can answer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Final, TypeVar

from services.models.model.place import Full, LeftAlone, Place
from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_service_pb2 as pb
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.ml.generation.protocol import KeyMissing, ModelGone, Unsupported
from tandemkit.ml.servers.server import KeyDenied, Passing
from tandemkit.reach.failure import Unreachable
from tandemkit.rpc.current import SERVING

ATTEMPTS_MAX: Final = 3
PAUSE_S_MIN: Final = 4.0
PAUSE_S_MAX: Final = 10.0
# Longest time for a seat at the backend, for callers without a deadline.
_SEAT_S: Final = 30.0
_BROKEN_S: Final = 0.1
# Another model may do what this one cannot for reasons of its own.
_ITS_OWN: Final = (Unreachable, KeyMissing, KeyDenied, ModelGone)

Answer = TypeVar("Answer", pb.ChatResponse, pb.CompleteResponse)
Part = TypeVar("Part", pb.StreamChatResponse, pb.StreamCompleteResponse)


@dataclass(frozen=True, slots=True)
class Seat:
    """A model at its place."""

    place: Place
    model: str

    @property
    def name(self) -> str:
        return f"{self.place.name}/{self.model}"


@dataclass(frozen=True, slots=True)
class Chain:
    """Who may answer, each the fallback of those before. `cause` is why the first one stands in
    for somebody already; empty where it does not.
    """

    seats: Sequence[Seat]
    cause: str = ""


def pause_s(attempts: int) -> float:
    """Before the next attempt, after so many: `wait_exponential(multiplier=1, min=4, max=10)`."""
    return min(PAUSE_S_MAX, max(PAUSE_S_MIN, 2.0 ** (attempts - 1)))


class Tries:
    """Of one request."""

    def __init__(self, chain: Chain, clock: Clock) -> None:
        self._chain, self._clock = chain, clock
        self._at = 0
        self._attempts = self._attempts_all = 0
        self._causes = [chain.cause] if chain.cause else []
        self._first: Failure | None = None

    @property
    def seat(self) -> Seat:
        """Whom to ask now."""
        return self._chain.seats[self._at]

    @property
    def answerer(self) -> chat.Answerer:
        """Of that one."""
        return chat.Answerer(
            backend=self.seat.place.name,
            model=self.seat.model,
            is_generative=self.seat.place.backend.nature.is_generative,
            is_fallback=bool(self._causes),
            fallback_cause="; ".join(self._causes),
        )

    def attempt(self) -> AbstractAsyncContextManager[None]:
        """One, at its place."""
        is_again = self._attempts > 0
        return self.seat.place.attempt(rest_s() or _SEAT_S, is_again=is_again)

    async def failed(self, error: Failure) -> None:
        """Returns when the next one is to be asked. Raises where there is none: the failure of who
        was to answer, if those who were to stand in could not either.
        """
        is_sent = not isinstance(error, LeftAlone | Full)
        self._attempts += is_sent
        self._attempts_all += is_sent
        self._first = first = self._first or error
        if isinstance(error, _ITS_OWN) and self._at + 1 < len(self._chain.seats):
            self._causes.append(f"{self.seat.name}: {error.message}")
            self._at, self._attempts = self._at + 1, 0
            return
        wait_s = self._pause_s(error)
        if wait_s is not None:
            await self._clock.sleep(wait_s)
            return
        if not isinstance(error, (*_ITS_OWN, Unsupported)):
            raise error
        told = {"attempts": str(self._attempts_all)} | (
            {"instead": f"{self.seat.name}: {error.message}"} if error is not first else {}
        )
        first.metadata = {"model": self._chain.seats[0].name} | first.metadata | told
        raise first

    def _pause_s(self, error: Failure) -> float | None:
        """None where another attempt is not worth it, or would come too late."""
        if not isinstance(error, Passing) or isinstance(error, LeftAlone | Full):
            return None
        if self._attempts >= ATTEMPTS_MAX:
            return None
        wait_s = max(pause_s(self._attempts), error.retry_after_s or 0.0)
        left_s = rest_s()
        if wait_s > PAUSE_S_MAX or (left_s is not None and wait_s >= left_s):
            return None
        return wait_s


def rest_s() -> float | None:
    """Until the deadline of the call that is being served."""
    current = SERVING.get()
    return None if current is None else current.rest_s()


async def answered(tries: Tries, ask: Callable[[Seat], Awaitable[Answer]]) -> Answer:
    """With who answered. Raises as backends do."""
    while True:
        seat = tries.seat
        try:
            async with tries.attempt():
                answer = await ask(seat)
        except Failure as error:
            await tries.failed(error)
        else:
            answer.answerer.CopyFrom(tries.answerer)
            noted(seat, answer.usage)
            return answer


async def streamed(
    tries: Tries, begin: Callable[[], AsyncGenerator[Part, None]]
) -> AsyncGenerator[Part, None]:
    """The parts, who answers in the first. Once there was one nothing is tried again."""
    while True:
        seat, is_begun = tries.seat, False
        try:
            async with (
                tries.attempt(),
                aclosing(begin()) as parts,
            ):
                async for part in parts:
                    if not is_begun:
                        part.answerer.CopyFrom(tries.answerer)
                        is_begun = True
                        seat.place.answered()
                    if part.finish_reason:
                        noted(seat, part.usage)
                    yield part
        except Failure as error:
            if is_begun:
                _hasten(error)
                raise
            await tries.failed(error)
        else:
            return


def _hasten(error: Failure) -> None:
    """Who answered a moment ago is not away: the stream may be gone on with at once."""
    if isinstance(error, Passing) and error.retry_after_s is None:
        error.retry_after_s = _BROKEN_S


def noted(seat: Seat, usage: chat.Usage) -> None:
    seat.place.figures.prompt_tokens += usage.prompt_tokens
    seat.place.figures.completion_tokens += usage.completion_tokens
