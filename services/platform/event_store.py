"""What happened, in streams that only grow. Contract: tandem.platform.v1.EventStoreService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager
from pathlib import Path

from tandem.platform.config.v1 import event_store_pb2 as cfg
from tandem.platform.v1 import errors_pb2 as errors
from tandem.platform.v1 import event_store_service_pb2 as pb
from tandem.platform.v1 import event_store_service_pb2_grpc as rpc
from tandemkit.core.clock import Clock
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.reach.failure import Unreachable
from tandemkit.rpc.context import Context
from tandemkit.rpc.paging import fitting
from tandemkit.storage.events.protocol import (
    PAGE_EVENTS_MAX,
    Event,
    EventStore,
    Head,
    IdTaken,
    NewEvent,
    Snapshot,
    StreamConflict,
)
from tandemkit.storage.events.sqlite import sqlite_events
from tandemkit.storage.events.verify import verified
from tandemkit.storage.failure import Damaged

_PAGE_EVENTS = 100
_RETRY_S = 1.0


def _event(event: Event) -> pb.Event:
    told = pb.Event(
        position=event.position,
        stream=event.stream,
        version=event.version,
        id=event.id,
        content=pb.EventContent(schema=event.kind, content=event.content),
        digest=event.digest,
    )
    told.record_time.FromMicroseconds(event.time_us)
    return told


def _head(head: Head) -> pb.EventHead:
    return pb.EventHead(position=head.position, digest=head.digest)


def _events_max(asked: int) -> int:
    return min(asked or _PAGE_EVENTS, PAGE_EVENTS_MAX)


@contextmanager
def _refusals() -> Iterator[None]:
    """What the store raises, in the words of the contract."""
    try:
        yield
    except StreamConflict as error:
        reason = errors.ERROR_REASON_STREAM_CONFLICT
        raise CallerError(reason, error.message, **error.metadata) from error
    except IdTaken as error:
        reason = errors.ERROR_REASON_EVENT_ID_TAKEN
        raise CallerError(reason, error.message, **error.metadata) from error
    except Unreachable as error:
        reason = errors.ERROR_REASON_STORE_UNREACHABLE
        raise TransientError(reason, error.message, retry_after_s=_RETRY_S) from error
    except Damaged as error:
        raise CallerError(errors.ERROR_REASON_STORE_DAMAGED, error.message) from error


class Events(rpc.EventStoreServiceServicer):
    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def AppendEvents(
        self, request: pb.AppendEventsRequest, _context: Context
    ) -> pb.AppendEventsResponse:
        events = [
            NewEvent(one.id, one.content.schema, one.content.content) for one in request.events
        ]
        expected = request.expected_version if request.HasField("expected_version") else None
        with _refusals():
            done = await self._store.append(request.stream, events, expected)
        return pb.AppendEventsResponse(version=done.version, position=done.position)

    async def ReadStream(
        self, request: pb.ReadStreamRequest, _context: Context
    ) -> pb.ReadStreamResponse:
        size = _events_max(request.events_max)
        with _refusals():
            events = await self._store.read(request.stream, request.after_version, size)
        return pb.ReadStreamResponse(events=fitting(map(_event, events)))

    async def ReadEvents(
        self, request: pb.ReadEventsRequest, _context: Context
    ) -> pb.ReadEventsResponse:
        size, after = _events_max(request.events_max), request.after_position
        with _refusals():
            events = await self._store.read_all(after, request.stream_prefix, size)
        return pb.ReadEventsResponse(events=fitting(map(_event, events)))

    async def FollowEvents(
        self, request: pb.FollowEventsRequest, _context: Context
    ) -> AsyncIterator[pb.FollowEventsResponse]:
        with _refusals():
            follower = self._store.follow(request.after_position, request.stream_prefix)
            async with aclosing(follower) as events:
                async for event in events:
                    yield pb.FollowEventsResponse(event=_event(event))

    async def KeepSnapshot(
        self, request: pb.KeepSnapshotRequest, _context: Context
    ) -> pb.KeepSnapshotResponse:
        said = request.snapshot
        kept = Snapshot(said.stream, said.version, said.content.schema, said.content.content)
        with _refusals():
            await self._store.keep_snapshot(kept)
        return pb.KeepSnapshotResponse()

    async def GetSnapshot(
        self, request: pb.GetSnapshotRequest, _context: Context
    ) -> pb.GetSnapshotResponse:
        with _refusals():
            found = await self._store.snapshot(request.stream)
        if found is None:
            reason, stream = errors.ERROR_REASON_SNAPSHOT_NOT_FOUND, request.stream
            raise CallerError(reason, "the stream has no snapshot", field="stream", stream=stream)
        content = pb.EventContent(schema=found.kind, content=found.content)
        snapshot = pb.StreamSnapshot(stream=found.stream, version=found.version, content=content)
        return pb.GetSnapshotResponse(snapshot=snapshot)

    async def VerifyEvents(
        self, request: pb.VerifyEventsRequest, _context: Context
    ) -> AsyncIterator[pb.VerifyEventsResponse]:
        noted = request.noted
        head = Head(noted.position, noted.digest) if request.HasField("noted") else None
        with _refusals():
            async with aclosing(verified(self._store, head)) as verdicts:
                async for verdict in verdicts:
                    told = pb.VerifyEventsResponse(verified=_head(verdict.head))
                    if verdict.broken is not None:
                        told.broken.position = verdict.broken.position
                        told.broken.cause = verdict.broken.cause
                    yield told


def _opened(
    settings: cfg.EventStoreSettings, folder: Path, clock: Clock
) -> AbstractAsyncContextManager[EventStore]:
    if settings.postgres_file:
        # The driver of a server is imported by who uses it: 7 MB that no other host pays.
        from tandemkit.storage.events.postgres import postgres_events

        dsn = Path(settings.postgres_file).read_text("utf-8").strip()
        return postgres_events(dsn, clock)
    return sqlite_events(folder / "events.sqlite", clock)


@asynccontextmanager
async def build(scope: Scope, settings: cfg.EventStoreSettings) -> AsyncIterator[Events]:
    async with _opened(settings, scope.state_dir, scope.clock) as store:
        scope.ready_when(store.head)
        yield Events(store)


AGENT = Agent(contract=pb.DESCRIPTOR, settings=cfg.EventStoreSettings, build=build)
main = AGENT.main
