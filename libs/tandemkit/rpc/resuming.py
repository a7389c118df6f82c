"""Streams that survive who serves them: docs/design/models.md#streams-that-survive.

A contract says that a stream can go on behind a cut by a string `resume_token` in its request and
in its responses.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tandemkit.core.clock import Clock, SystemClock
from tandemkit.rpc import failure
from tandemkit.rpc.contract import Method
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.rpc.resume_token import FIELD

Part = TypeVar("Part", bound=Message)
_CODE: Final = grpc.StatusCode
# As a proxy says that the server behind it is gone in the midst of a stream.
_RESET: Final = "RST_STREAM"
_PLATFORM: Final = failure.PLATFORM_REASONS.file.package


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a stream that brings nothing more is opened again, and after which pauses: twice as
    long each time. The usual one outlasts the restart of a host.
    """

    openings_max: int = 12
    # The same before anything came at all, where somebody else can answer, or is told sooner.
    beginnings_max: int = 12
    pause_s_min: float = 0.1
    pause_s_max: float = 2.0
    # Who is asked to wait for longer gives up instead.
    wait_s_max: float = 10.0


_USUAL: Final = Patience()


def is_resumable(method: Method) -> bool:
    """Whether the contract says so."""
    if method.client_streaming or not method.server_streaming:
        return False
    return _has_token(method.request) and _has_token(method.response)


async def resuming(
    method: Callable[..., Any],
    request: Message,
    *,
    clock: Clock | None = None,
    patience: Patience = _USUAL,
    **options: Any,
) -> AsyncGenerator[Any, None]:
    """The responses of a stub's method that is resumable, called with `options`, as one stream: it
    is opened again where its server went away, behind what came last. `timeout` is for all of it.
    Raises grpc.aio.AioRpcError: the last failure, and at once what opening again does not mend.
    """
    clock = clock or SystemClock()
    asked = type(request)()
    asked.CopyFrom(request)
    openings = _Openings(clock, patience, options.pop("timeout", None))
    while True:
        call = method(asked, timeout=openings.left_s(), **options)
        try:
            async for part in call:
                openings.bring()
                setattr(asked, FIELD, getattr(part, FIELD))
                yield part
        except grpc.aio.AioRpcError as error:
            pause_s = openings.pause_s(error, has_token=bool(getattr(asked, FIELD)))
            if pause_s is None:
                raise
        else:
            return
        finally:
            call.cancel()
        await clock.sleep(pause_s)


class _Openings:
    """Of one stream."""

    def __init__(self, clock: Clock, patience: Patience, timeout_s: float | None) -> None:
        self._clock, self._patience = clock, patience
        self._until_s = None if timeout_s is None else clock.monotonic_s() + timeout_s
        self._in_vain = 0
        # Whether this opening brought anything, and any did.
        self._brought = self._brought_ever = False

    def bring(self) -> None:
        self._brought = self._brought_ever = True

    def left_s(self) -> float | None:
        """Until the caller's deadline."""
        if self._until_s is None:
            return None
        return max(0.0, self._until_s - self._clock.monotonic_s())

    def pause_s(self, error: grpc.aio.AioRpcError, *, has_token: bool) -> float | None:
        """Until it is opened again; None where it is not."""
        found = RemoteFailure.of(error)
        brought, self._brought = self._brought, False
        if not _is_gone(found) or (self._brought_ever and not has_token):
            return None
        if not brought and (_is_its_word(found) or (found.pushback_s or 0.0) < 0):
            return None
        self._in_vain = 0 if brought else self._in_vain + 1
        patience = self._patience
        most = patience.openings_max if self._brought_ever else patience.beginnings_max
        if self._in_vain >= most:
            return None
        usual_s = min(patience.pause_s_max, patience.pause_s_min * 2.0**self._in_vain)
        wait_s = max(usual_s, found.retry_after_s or 0.0)
        left_s = self.left_s()
        if wait_s > patience.wait_s_max or (left_s is not None and wait_s >= left_s):
            return None
        return wait_s


def _is_gone(found: RemoteFailure) -> bool:
    """Whether who served it went away."""
    if found.code is _CODE.UNAVAILABLE:
        return True
    return found.code is _CODE.INTERNAL and not found.reason and _RESET in found.message


def _is_its_word(found: RemoteFailure) -> bool:
    """Whether the agent itself says that it cannot, after what it tried."""
    return bool(found.domain) and found.domain != _PLATFORM


def _has_token(kind: type[Message]) -> bool:
    field = kind.DESCRIPTOR.fields_by_name.get(FIELD)
    return field is not None and field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated
