"""What happens in a process, on its way into the event store: kept here first, so that it waits for
nobody and survives everybody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import grpc
from google.protobuf.message import Message

from tandem.platform.v1 import errors_pb2 as errors
from tandem.platform.v1 import event_store_service_pb2 as pb
from tandem.platform.v1 import event_store_service_pb2_grpc as rpc
from tandemkit.core import ids
from tandemkit.core.clock import Clock
from tandemkit.hosting.child_events import Notable, Origin, child_event
from tandemkit.reach.failure import Unreachable
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.storage.events.protocol import PAGE_EVENTS_MAX, Event, IdTaken, NewEvent
from tandemkit.storage.forwarding import Forwarding
from tandemkit.storage.outbox import Outbox
from tandemkit.supervise.reports import Report
from tandemkit.supervise.tasks import Tasks

_ANSWER_WITHIN_S = 5.0
_ID_TAKEN = errors.ErrorReason.Name(errors.ERROR_REASON_EVENT_ID_TAKEN).removeprefix(
    "ERROR_REASON_"
)


class StoreAgent:
    """The event store of the fleet, as far as `tandemkit.storage.forwarding` needs it."""

    def __init__(self, stub: rpc.EventStoreServiceAsyncStub) -> None:
        self._stub = stub

    async def append(self, stream: str, events: Sequence[NewEvent]) -> object:
        """Raises IdTaken, and Unreachable for all else: the same may be appended again."""
        request = pb.AppendEventsRequest(stream=stream)
        for one in events:
            content = pb.EventContent(schema=one.kind, content=one.content)
            request.events.add(id=one.id, content=content)
        with _answering():
            return await self._stub.AppendEvents(request, timeout=_ANSWER_WITHIN_S)

    async def read(self, stream: str, after: int) -> Sequence[Event]:
        """A page behind that version; none where there are no more. Raises Unreachable."""
        request = pb.ReadStreamRequest(
            stream=stream, after_version=after, events_max=PAGE_EVENTS_MAX
        )
        with _answering():
            found = await self._stub.ReadStream(request, timeout=_ANSWER_WITHIN_S)
        return [_read(one) for one in found.events]


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as error:
        found = RemoteFailure.of(error)
        if found.reason == _ID_TAKEN:
            raise IdTaken(found.message, **found.metadata) from error
        said = {"code": found.code.name, "reason": found.reason, "cause": found.message}
        raise Unreachable("the event store does not answer", **said) from error


def _read(event: pb.Event) -> Event:
    content, time_us = event.content, event.record_time.ToMicroseconds()
    return Event(
        event.position,
        event.stream,
        event.version,
        event.id,
        content.schema,
        content.content,
        time_us,
        event.digest,
    )


class Recorder:
    """Keeps events of one stream."""

    def __init__(self, outbox: Outbox, stream: str) -> None:
        self._outbox, self._stream = outbox, stream

    def note(self, content: Message) -> None:
        """Keeps it soon, and sends it when it can be sent. Raises Unreachable where nothing can be
        kept any more.
        """
        self._outbox.put(self._stream, _event(content))

    async def keep(self, content: Message, event_id: str = "") -> None:
        """The same; returns when it is on disk. Events of one id count once."""
        await self._outbox.keep(self._stream, _event(content, event_id))


class RecordingSink:
    """Notes what supervisors of this process report."""

    def __init__(self, recorder: Recorder, origin: Origin) -> None:
        self._recorder, self._origin = recorder, origin
        self._notable = Notable()

    def take(self, report: Report) -> None:
        if self._notable.is_notable(report):
            self._recorder.note(child_event(report, self._origin))


def _event(content: Message, event_id: str = "") -> NewEvent:
    kind = content.DESCRIPTOR.full_name
    return NewEvent(event_id or ids.event_id(), kind, content.SerializeToString())


@asynccontextmanager
async def recording(
    path: Path, stream: str, stub: rpc.EventStoreServiceAsyncStub, clock: Clock
) -> AsyncIterator[Recorder]:
    """Inside of the block events are kept in the file at `path`, and sent to the event store."""
    outbox = Outbox(path, clock)
    async with Tasks() as tasks:
        tasks.spawn("record:keep", outbox.run())
        tasks.spawn("record:send", Forwarding(outbox, StoreAgent(stub), clock).run())
        yield Recorder(outbox, stream)
