"""What happens to every call between the wire and its handler, as one wrapper per method.

The wrapper is composed once, when an agent is mounted; docs/adr/0010 says why these are no grpc.aio
interceptors.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias

from google.protobuf.message import DecodeError, Message

from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.core.errors import CallerError, Failure, TransientError
from tandemkit.rpc import failure, trace, validation
from tandemkit.rpc.context import Context, time_left_s
from tandemkit.rpc.contract import Contract, Method
from tandemkit.rpc.failure import Refusal
from tandemkit.rpc.report import Call, Report

_RETRY_S = 0.1


Serve: TypeAlias = Callable[[Any, Context], Any]


class Refused(Exception):
    """Ends a call with an answer that the platform already knows."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass(slots=True)
class Gate:
    """Counts the calls of one method in progress. The server's one event loop makes this safe
    without a lock.
    """

    calls_max: int
    calls: int = 0

    def enter(self) -> None:
        """Raises where the instance has as many calls in progress as its contract allows."""
        if self.calls_max and self.calls >= self.calls_max:
            raise Refused(
                failure.of_platform(
                    platform.PLATFORM_ERROR_REASON_OVERLOADED,
                    "the instance has as many calls in progress as it takes on",
                    retry_after_s=_RETRY_S,
                    concurrent_calls_max=self.calls_max,
                )
            )
        self.calls += 1

    def leave(self) -> None:
        self.calls -= 1


class Drain:
    """Ends the streams that would otherwise hold a draining server up for all of its grace."""

    def __init__(self) -> None:
        self._begun = False
        self._open: set[asyncio.Task[Any]] = set()

    def begin(self) -> None:
        """Ends every such stream with UNAVAILABLE/DRAINING, now."""
        self._begun = True
        for task in self._open:
            task.cancel()

    def ends(self, run: Serve) -> Serve:
        """`run`, ended by `begin`."""

        async def until_drained(request: Any, context: Context) -> Message | None:
            task = asyncio.current_task()
            assert task is not None
            self._open.add(task)
            try:
                response: Message | None = await run(request, context)
            except asyncio.CancelledError:
                if not self._begun:
                    raise
                task.uncancel()
                raise Refused(_draining()) from None
            finally:
                self._open.discard(task)
            return response

        return until_drained


def _draining() -> Refusal:
    message = "the instance is shutting down"
    reason = platform.PLATFORM_ERROR_REASON_DRAINING
    return failure.of_platform(reason, message, retry_after_s=_RETRY_S)


@dataclass(frozen=True, slots=True)
class Door:
    """What one method's wrapper needs to know."""

    contract: Contract
    method: Method
    gate: Gate
    report: Report
    drain: Drain

    def parse(self, wire: bytes) -> Message | None:
        """The request, or None where the bytes are no such message: gRPC would call that an
        internal error.
        """
        try:
            return self.method.request.FromString(wire)
        except DecodeError:
            return None

    def check(self, request: Message | None) -> None:
        """Raises where the request breaks its contract."""
        if request is None:
            broken = [failure.Violation("", f"is no {self.method.request.DESCRIPTOR.full_name}")]
        else:
            broken = validation.violations(request)
        if broken:
            raise Refused(
                failure.of_platform(
                    platform.PLATFORM_ERROR_REASON_INVALID_REQUEST,
                    "the request breaks the contract",
                    violations=broken,
                    violations_total=len(broken),
                )
            )

    async def checked(self, requests: AsyncIterator[Message | None]) -> AsyncIterator[Message]:
        """A request stream whose messages each passed the rules."""
        async for request in requests:
            self.check(request)
            assert request is not None
            yield request

    def own_deadline_s(self, context: Context) -> float | None:
        """The contract's deadline where the caller's own does not end the call sooner."""
        limit_s, left_s = self.method.deadline_s, time_left_s(context)
        return limit_s if limit_s is not None and (left_s is None or left_s > limit_s) else None

    def refusal(self, error: Exception, call: Call, timer: asyncio.Timeout | None) -> Refusal:
        """Maps whatever ended the call. The one place where an unknown exception is met and not
        passed on.
        """
        if isinstance(error, Refused):
            return error.refusal
        if isinstance(error, CallerError | TransientError):
            try:
                return failure.of_agent(error, self.contract.reasons)
            except Failure as undeclared:
                error = undeclared
        if isinstance(error, TimeoutError) and timer is not None and timer.expired():
            return failure.of_platform(
                platform.PLATFORM_ERROR_REASON_DEADLINE_EXCEEDED,
                "the method's own deadline passed",
                deadline_s=self.method.deadline_s,
            )
        return failure.of_platform(
            platform.PLATFORM_ERROR_REASON_INTERNAL,
            "the agent failed; its log has the cause under this incident",
            incident=self.report.defect(call, error),
        )


def wrapped(door: Door, serve: Serve) -> Serve:
    """The coroutine that gRPC runs for every call of the method."""
    gate, report, streams_in = door.gate, door.report, door.method.client_streaming
    run = pumped(serve) if door.method.server_streaming else serve
    if door.method.deadline_s is None:
        run = door.drain.ends(run)

    async def answer(request: Any, context: Context) -> Message | None:
        call = Call(door.method.path, context, trace.accept(context.invocation_metadata()))
        timer: asyncio.Timeout | None = None
        response: Message | None
        try:
            gate.enter()
            try:
                if streams_in:
                    request = door.checked(request)
                else:
                    door.check(request)
                limit_s = door.own_deadline_s(context)
                if limit_s is None:
                    response = await run(request, context)
                else:
                    async with asyncio.timeout(limit_s) as timer:
                        response = await run(request, context)
            finally:
                gate.leave()
        except asyncio.CancelledError:
            report.cancelled(call)
            raise
        except Exception as error:
            refusal = door.refusal(error, call, timer)
            report.refused(call, refusal)
            await context.abort(refusal.code, refusal.message, refusal.trailers())
        report.answered(call, response)
        return response

    return answer


def pumped(serve: Callable[[Any, Context], AsyncGenerator[Message, None]]) -> Serve:
    """A handler that yields, as one coroutine: a deadline that passes while a message is sent ends
    it here too.
    """

    async def pump(request: Any, context: Context) -> None:
        async with aclosing(serve(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    return pump
