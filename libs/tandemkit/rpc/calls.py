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

import grpc
from google.protobuf.message import DecodeError, Message

from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.core.clock import stopwatch_s
from tandemkit.core.errors import CallerError, Failure, TransientError
from tandemkit.rpc import arrival, failure, quick, remote, trace, validation
from tandemkit.rpc.callers import Callers
from tandemkit.rpc.context import Context
from tandemkit.rpc.contract import Contract, Method
from tandemkit.rpc.current import SERVING, Current
from tandemkit.rpc.failure import Refusal, Refused
from tandemkit.rpc.report import Report
from tandemkit.rpc.room import Room
from tandemkit.rpc.turns import Turns

Serve: TypeAlias = Callable[[Any, Context], Any]
_CANCELLED = grpc.StatusCode.CANCELLED


@dataclass(frozen=True, slots=True)
class Door:
    """What one method's wrapper needs to know."""

    contract: Contract
    method: Method
    room: Room
    report: Report
    turns: Turns
    callers: Callers

    def parse(self, wire: bytes) -> Message | None:
        """The request, or None where the bytes are no such message: gRPC would call that an
        internal error.
        """
        try:
            return self.method.request.FromString(wire)
        except DecodeError:
            return None

    @property
    def surely_good(self) -> quick.Sure:
        """What spares most requests the engine."""
        return validation.surely_good(self.method.request.DESCRIPTOR)

    def check(self, request: Message | None) -> None:
        """Raises where the request breaks its contract: the engine's word."""
        if request is None:
            broken = [failure.Violation("", f"is no {self.method.request.DESCRIPTOR.full_name}")]
        else:
            broken = validation.ask_engine(request)
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
            if request is None or not self.surely_good(request):
                self.check(request)
            assert request is not None
            yield request

    def refusal(self, error: Exception, current: Current) -> Refusal:
        """Maps what ended the call. The one place where an unknown exception is met and not passed
        on.
        """
        if isinstance(error, Refused):
            return error.refusal
        if isinstance(error, CallerError | TransientError):
            try:
                return failure.of_agent(error, self.contract.reasons)
            except Failure as undeclared:
                error = undeclared
        if isinstance(error, grpc.aio.AioRpcError):
            passed_on = remote.passed_on(error)
            if passed_on is not None:
                return passed_on
        return failure.of_platform(
            platform.PLATFORM_ERROR_REASON_INTERNAL,
            "the agent failed; its log has the cause under this incident",
            incident=self.report.defect(current, error),
        )


def wrapped(door: Door, serve: Serve) -> Serve:
    """The coroutine that gRPC runs for every call of the method."""
    room, report, method, turns = door.room, door.report, door.method, door.turns
    callers = door.callers
    tally = report.tally(method)
    add_ok = tally.ok.add
    run = pumped(serve, room) if method.server_streaming else serve
    surely_good, check = door.surely_good, door.check
    if method.client_streaming:
        # A stream of requests is checked as it comes.
        surely_good, run = _yes, _checking(door, run)

    async def answer(request: Any, context: Context) -> Message | None:
        traceparent, asked = arrival.read(context.invocation_metadata())
        current = Current(method, context, traceparent, stopwatch_s(), method.priority, callers)
        tally.started += 1
        SERVING.set(current)
        if traceparent:
            sampled = trace.sampled(traceparent)
        else:
            sampled = report.share > 0 and report.chosen(context)
        if sampled:
            report.begin(current)
        ended: Refusal | None = None
        try:
            begun_s = current.started_s
            if asked is not None or begun_s > turns.look_at_s:
                begun_s = await turns.turn(current, asked)
            # Each of the three refuses, and then there is nobody to leave.
            call = room.enter(begun_s, current.priority) or await room.seat()
            try:
                if request is None or not surely_good(request):
                    check(request)
                response: Message | None = await run(request, context)
            finally:
                ended = room.leave(call)
        except asyncio.CancelledError:
            if ended is None:
                tally.failed(_CANCELLED, stopwatch_s() - current.started_s)
                report.cancelled(current)
                raise
            refusal = ended
        except Exception as error:
            refusal = failure.veiled(ended or door.refusal(error, current))
        else:
            took_s = stopwatch_s() - current.started_s
            add_ok(took_s)
            if sampled or took_s >= report.slow_s:
                report.answered(current, response)
            return response
        tally.failed(refusal.code, stopwatch_s() - current.started_s)
        report.refused(current, refusal)
        return await context.abort(refusal.code, refusal.message, refusal.trailers())

    return answer


def pumped(serve: Callable[[Any, Context], AsyncGenerator[Message, None]], room: Room) -> Serve:
    """A handler that yields, as one coroutine: what ends the call while a message is being sent
    ends it here.
    """

    async def pump(request: Any, context: Context) -> None:
        async with aclosing(serve(request, context)) as responses:
            async for first in responses:
                await room.unbroken(context.write(first))
                break
            async for response in responses:
                await context.write(response)

    return pump


def _checking(door: Door, run: Serve) -> Serve:
    """`run`, over a request stream that is checked message by message."""

    def serve(requests: Any, context: Context) -> Any:
        return run(door.checked(requests), context)

    return serve


def _yes(_requests: Any) -> bool:
    return True
