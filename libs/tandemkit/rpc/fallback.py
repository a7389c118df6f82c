"""Calls that have an answer where the service has none: docs/design/flow.md#fallbacks."""

from __future__ import annotations

import enum
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from tandemkit.core import log
from tandemkit.core.clock import Clock, SystemClock
from tandemkit.core.errors import Bug
from tandemkit.rpc.attempts import Road
from tandemkit.rpc.line import described
from tandemkit.rpc.remote import RemoteFailure

Response = TypeVar("Response", bound=Message)
Ask = Callable[..., Awaitable[Response]]
_LOGGER = logging.getLogger("tandemkit.rpc")
_CODE = grpc.StatusCode
# Nobody was there, or nobody who could. Any other failure is the live service's answer.
_ABSENT = {_CODE.UNAVAILABLE, _CODE.DEADLINE_EXCEEDED, _CODE.RESOURCE_EXHAUSTED, _CODE.INTERNAL}
KEPT_MAX = 1000


class Source(enum.StrEnum):
    """Who gave an answer."""

    LIVE = enum.auto()
    # The service itself, at an earlier time.
    LAST_KNOWN = enum.auto()
    STATIC = enum.auto()
    OTHER_SERVICE = enum.auto()


@dataclass(frozen=True, slots=True)
class Answered(Generic[Response]):
    """An answer and its mark. `reason` says why it is not live: the code of the failure and, where
    it gave one, its reason. `age_s` is how old it is.
    """

    response: Response
    source: Source = Source.LIVE
    reason: str = ""
    age_s: float = 0.0

    @property
    def is_live(self) -> bool:
        return self.source is Source.LIVE


class Fallback(Protocol[Response]):
    """One way to an answer without the service."""

    def heard(self, request: Message, response: Response, now_s: float) -> None:
        """The service answered."""

    async def answer(self, request: Message, now_s: float) -> Answered[Response] | None:
        """None where this way knows none."""


class LastKnown(Generic[Response]):
    """What the service said last to the same request, within `age_s_max`: of `kept_max` requests,
    those that were asked last.
    """

    def __init__(self, age_s_max: float, kept_max: int = KEPT_MAX) -> None:
        self._age_s_max, self._kept_max = age_s_max, kept_max
        self._kept: OrderedDict[bytes, tuple[Response, float]] = OrderedDict()

    def heard(self, request: Message, response: Response, now_s: float) -> None:
        key = request.SerializeToString(deterministic=True)
        self._kept[key] = response, now_s
        self._kept.move_to_end(key)
        if len(self._kept) > self._kept_max:
            self._kept.popitem(last=False)

    async def answer(self, request: Message, now_s: float) -> Answered[Response] | None:
        kept = self._kept.get(request.SerializeToString(deterministic=True))
        if kept is None or now_s - kept[1] > self._age_s_max:
            return None
        response = type(kept[0])()
        response.CopyFrom(kept[0])  # a caller may change what it is given
        return Answered(response, Source.LAST_KNOWN, age_s=now_s - kept[1])


@dataclass(frozen=True, slots=True)
class Static(Generic[Response]):
    """Always the same."""

    response: Response

    def heard(self, request: Message, response: Response, now_s: float) -> None:
        """Of no interest."""

    async def answer(self, _request: Message, _now_s: float) -> Answered[Response] | None:
        response = type(self.response)()
        response.CopyFrom(self.response)
        return Answered(response, Source.STATIC)


@dataclass(frozen=True, slots=True)
class OtherService(Generic[Response]):
    """Whoever `ask` calls, such as a method of another stub, within what is left of the time."""

    ask: Ask[Response]

    def heard(self, request: Message, response: Response, now_s: float) -> None:
        """Of no interest."""

    async def answer(self, request: Message, _now_s: float) -> Answered[Response] | None:
        try:
            return Answered(await self.ask(request), Source.OTHER_SERVICE)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _ABSENT:
                raise
            return None


class Covered(Generic[Response]):
    """A method of a mesh's stub and what answers in its place, the first of `fallbacks` that can.

    Each change from the service to a fallback, or back, leaves a line in the log.
    """

    def __init__(self, road: Road, fallbacks: tuple[Fallback[Response], ...], clock: Clock) -> None:
        self._road, self._fallbacks, self._clock = road, fallbacks, clock
        self._was_live = True

    async def __call__(self, request: Message, **options: Any) -> Answered[Response]:
        """The answer, marked; `options` are those of a call. Raises the service's own failure where
        there is no fallback that knows an answer.
        """
        try:
            response: Response = await self._road.unary(request, **options)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _ABSENT:
                raise
            return await self._instead(request, error)
        now_s = self._clock.monotonic_s()
        for one in self._fallbacks:
            one.heard(request, response, now_s)
        self._say(Source.LIVE, "")
        return Answered(response)

    async def _instead(self, request: Message, error: grpc.aio.AioRpcError) -> Answered[Response]:
        found = RemoteFailure.of(error)
        reason = "/".join(filter(None, (found.code.name, found.reason)))
        for one in self._fallbacks:
            answered = await one.answer(request, self._clock.monotonic_s())
            if answered is not None:
                self._say(answered.source, reason)
                return replace(answered, reason=reason)
        raise error

    def _say(self, source: Source, reason: str) -> None:
        is_live = source is Source.LIVE
        if is_live is not self._was_live:
            self._was_live = is_live
            said = {"rpc": self._road.line.path, "source": source.value, "cause": reason}
            if is_live:
                log.event(_LOGGER, logging.INFO, "fallback.live", **said)
            else:
                log.event(_LOGGER, logging.WARNING, "fallback.used", **said)


def with_service_fallback(
    method: Ask[Response], *fallbacks: Fallback[Response], clock: Clock | None = None
) -> Covered[Response]:
    """`method` of a stub that a mesh or `scope.stub` made, with what answers where it does not, in
    this order. Raises Bug for a method that may change anything: its contract has to say
    NO_SIDE_EFFECTS, for nobody can answer in the place of who was to write.
    """
    road = getattr(method, "__self__", None)
    if not isinstance(road, Road):
        raise Bug("a fallback takes a method of a stub that a mesh made", given=repr(method))
    known = described(road.line.path)
    if known is None or not known.reads or known.client_streaming or known.server_streaming:
        wanted = "a unary method whose contract says idempotency_level = NO_SIDE_EFFECTS"
        raise Bug("there is no fallback for what may write", rpc=road.line.path, wanted=wanted)
    if not fallbacks:
        raise Bug("a call with a fallback names at least one", rpc=road.line.path)
    return Covered(road, fallbacks, clock or SystemClock())
