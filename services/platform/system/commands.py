"""Commands, each done once and recorded twice: before anything is done, and afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextvars import copy_context
from typing import Protocol, TypeAlias, cast

from google.protobuf.message import Message

from services.platform.system.machines import Machines
from tandem.platform.v1 import errors_pb2 as errors
from tandem.platform.v1 import system_service_pb2 as pb
from tandemkit.core.clock import Clock
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.protocol import Change
from tandemkit.supervise.errands import Errands

Answer: TypeAlias = pb.RunCommandResponse | CallerError | TransientError
KEPT_MAX = 1000
_DONE, _UNRECORDED = "commands/", "unrecorded/"
_RETRY_S = 1.0


class Recorder(Protocol):
    """Where commands are recorded. Raises Unreachable."""

    async def keep(self, content: Message, event_id: str) -> None:
        """On disk when it returns; once for each id."""


class Commands:
    """A command goes on if its caller stops waiting. One whose outcome is unknown may be sent
    again: the supervisors do it once.
    """

    def __init__(self, machines: Machines, state: State, recorder: Recorder, clock: Clock) -> None:
        self._machines, self._state, self._recorder = machines, state, recorder
        self._clock = clock
        self._errands = Errands()
        self._running: dict[str, tuple[pb.RunCommandRequest, asyncio.Future[Answer]]] = {}
        # Of no call: what one asks for outlives its deadline.
        self._context = copy_context()

    async def begin(self) -> None:
        """Records what the process before this one did and did not record, and forgets the oldest
        commands.
        """
        known = [command async for _, command in self._all(_DONE)]
        async for key, command in self._all(_UNRECORDED):
            await self._recorder.keep(command, _event_id(command))
            await self._state.delete(key)
        known.sort(key=lambda one: one.begin_time.ToNanoseconds())
        for command in known[:-KEPT_MAX]:
            await self._state.delete(f"{_DONE}{command.request.request_id}")

    async def end(self) -> None:
        """Stops waiting for what runs."""
        await self._errands.end(grace_s=0)

    async def run(self, request: pb.RunCommandRequest, peer: str) -> pb.RunCommandResponse:
        """Raises CallerError, TransientError."""
        name = request.request_id
        if name not in self._running:
            answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self._running[name] = request, answer
            work = self._answer(request, peer, answer)
            self._errands.start(work, self._context.copy())
        first, answer = self._running[name]
        _check_same(first, request)
        found = await asyncio.shield(answer)
        if isinstance(found, pb.RunCommandResponse):
            return found
        raise found

    async def _answer(
        self, request: pb.RunCommandRequest, peer: str, answer: asyncio.Future[Answer]
    ) -> None:
        found: Answer = _lost("the agent ended before it knew the outcome")
        try:
            found = await self._run(request, peer)
        except (CallerError, TransientError) as error:
            found = error
        except Unreachable as error:
            found = _lost(error.message)
        finally:
            del self._running[request.request_id]
            if not answer.done():
                answer.set_result(found)

    async def _run(self, request: pb.RunCommandRequest, peer: str) -> pb.RunCommandResponse:
        key = f"{_DONE}{request.request_id}"
        command = await self._state.get(key, pb.SystemCommand)
        if command is None:
            command = pb.SystemCommand(request=request, peer=peer)
            command.begin_time.FromDatetime(self._clock.now())
            await self._state.put(key, command)
        _check_same(command.request, request)
        if command.HasField("end_time"):
            return pb.RunCommandResponse(outcomes=command.outcomes, repeated_answer=True)
        await self._recorder.keep(command, _event_id(command))
        try:
            command.outcomes.extend(await self._machines.command(request))
        except CallerError as error:
            reason = cast("errors.ErrorReason.ValueType", error.reason)
            command.refusal = errors.ErrorReason.Name(reason).removeprefix("ERROR_REASON_")
            await self._done(command)
            raise
        await self._done(command)
        return pb.RunCommandResponse(outcomes=command.outcomes)

    async def _done(self, command: pb.SystemCommand) -> None:
        """What was refused as a whole may be asked for again, under the same name."""
        name = command.request.request_id
        command.end_time.FromDatetime(self._clock.now())
        done = None if command.refusal else command.SerializeToString(deterministic=True)
        unrecorded = Change(f"{_UNRECORDED}{name}", command.SerializeToString(deterministic=True))
        await self._state.store.write([Change(f"{_DONE}{name}", done), unrecorded])
        await self._recorder.keep(command, _event_id(command))
        await self._state.delete(unrecorded.key)

    def _all(self, prefix: str) -> AsyncIterator[tuple[str, pb.SystemCommand]]:
        return self._state.all(prefix, pb.SystemCommand)


def _event_id(command: pb.SystemCommand) -> str:
    """The same for the same event: what is recorded again counts once."""
    ended = "ended" if command.HasField("end_time") else "begun"
    began = command.begin_time.ToNanoseconds()
    return f"commands/{command.request.request_id}/{began}/{ended}"


def _check_same(first: pb.RunCommandRequest, request: pb.RunCommandRequest) -> None:
    if first != request:
        reason = errors.ERROR_REASON_REQUEST_ID_TAKEN
        message = "another command has this request_id"
        raise CallerError(reason, message, field="request_id", request_id=request.request_id)


def _lost(cause: str) -> TransientError:
    reason = errors.ERROR_REASON_STORE_UNREACHABLE
    message = "the outcome is not known; send the same command again"
    return TransientError(reason, message, retry_after_s=_RETRY_S, cause=cause)
