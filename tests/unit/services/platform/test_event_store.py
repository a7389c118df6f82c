from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest

from services.platform import event_store
from services.platform.event_store import AGENT
from tandem.platform.config.v1 import event_store_pb2 as cfg
from tandem.platform.v1 import event_store_service_pb2 as pb
from tandem.platform.v1 import event_store_service_pb2_grpc as rpc
from tandemkit.testing.agents import serving
from tandemkit.testing.failures import Failure, failure_of
from tandemkit.testing.imports import loaded_by
from tandemkit.testing.parts_storage import postgres_server

CODE = grpc.StatusCode
KIND = "tandem.control.v1.Host"


@pytest.fixture
async def events(tmp_path: Path) -> AsyncIterator[rpc.EventStoreServiceAsyncStub]:
    async with serving(AGENT, state_dir=tmp_path) as channel:
        yield rpc.EventStoreServiceStub(channel)


def append(
    stream: str, *ids: str, expected: int | None = None, content: bytes = b"x"
) -> pb.AppendEventsRequest:
    said = pb.EventContent(schema=KIND, content=content)
    events = [pb.NewEvent(id=one, content=said) for one in ids]
    return pb.AppendEventsRequest(stream=stream, events=events, expected_version=expected)


async def refusal(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return failure_of(raised.value)


async def test_events_are_read_as_they_were_recorded(
    events: rpc.EventStoreServiceAsyncStub,
) -> None:
    """By stream and over all streams, a page at a time."""
    await events.AppendEvents(append("hosts/a", "one", "two"))
    done = await events.AppendEvents(append("hosts/b", "three"))
    assert (done.version, done.position) == (1, 3)
    request = pb.ReadStreamRequest(stream="hosts/a", after_version=1)
    (two,) = (await events.ReadStream(request)).events
    assert (two.position, two.version, two.id, two.content.schema) == (2, 2, "two", KIND)
    assert two.HasField("record_time")
    assert len(two.digest) == 32
    page = await events.ReadEvents(pb.ReadEventsRequest(events_max=2))
    assert [one.id for one in page.events] == ["one", "two"]
    rest = pb.ReadEventsRequest(stream_prefix="hosts/", after_position=2, events_max=5000)
    assert [one.id for one in (await events.ReadEvents(rest)).events] == ["three"]


async def test_a_page_fits_into_a_message(events: rpc.EventStoreServiceAsyncStub) -> None:
    """However large its events are; whoever reads until nothing comes has all of them."""
    big = bytes(1024 * 1024)
    for number in range(7):
        await events.AppendEvents(append("hosts/a", f"event-{number}", content=big))
    found: list[int] = []
    while page := (await events.ReadEvents(pb.ReadEventsRequest(after_position=len(found)))).events:
        found += [one.position for one in page]
    assert found == list(range(1, 8))
    found.clear()
    request = pb.ReadStreamRequest(stream="hosts/a")
    while page := (await events.ReadStream(request)).events:
        found += [one.version for one in page]
        request.after_version = found[-1]
    assert found == list(range(1, 8))


async def test_a_conflict_names_the_version_that_there_is(
    events: rpc.EventStoreServiceAsyncStub,
) -> None:
    """The writer reads what it did not know, and decides anew."""
    await events.AppendEvents(append("hosts/a", "one", expected=0))
    failed = await refusal(events.AppendEvents(append("hosts/a", "two", expected=0)))
    assert (failed.code, failed.reason) == (CODE.ABORTED, "STREAM_CONFLICT")
    assert (failed.metadata["stream"], failed.metadata["actual"]) == ("hosts/a", "1")


async def test_a_retry_counts_once_and_an_id_is_of_one_event(
    events: rpc.EventStoreServiceAsyncStub,
) -> None:
    """The same append again gets the first one's answer; another event with the id is refused."""
    first = await events.AppendEvents(append("hosts/a", "one", expected=0))
    assert await events.AppendEvents(append("hosts/a", "one", expected=0)) == first
    failed = await refusal(events.AppendEvents(append("hosts/a", "one", content=b"y")))
    assert (failed.code, failed.reason) == (CODE.ALREADY_EXISTS, "EVENT_ID_TAKEN")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (append("", "one"), "stream"),
        (append("hosts/a"), "events"),
        (append("hosts/a", "one", "one"), ""),
        (append("hosts/a", "o\nne"), "events[0].id"),
    ],
)
async def test_bad_input_is_named(
    events: rpc.EventStoreServiceAsyncStub, request_: pb.AppendEventsRequest, field: str
) -> None:
    """By its field, before anything is recorded."""
    failed = await refusal(events.AppendEvents(request_))
    assert failed.code is CODE.INVALID_ARGUMENT
    assert field in failed.violations
    assert not (await events.ReadEvents(pb.ReadEventsRequest())).events


async def test_a_follower_has_what_was_and_what_comes(
    events: rpc.EventStoreServiceAsyncStub,
) -> None:
    """Behind the position that it saw last."""
    await events.AppendEvents(append("hosts/a", "one", "two"))
    call = events.FollowEvents(pb.FollowEventsRequest(after_position=1))
    stream = aiter(call)
    assert (await anext(stream)).event.id == "two"
    await events.AppendEvents(append("policy", "three"))
    assert (await anext(stream)).event.id == "three"
    call.cancel()


async def test_a_snapshot_is_kept_over_a_restart(tmp_path: Path) -> None:
    """With the events; a stream without one says so."""
    async with serving(AGENT, state_dir=tmp_path) as channel:
        events = rpc.EventStoreServiceStub(channel)
        await events.AppendEvents(append("hosts/a", "one"))
        content = pb.EventContent(schema=KIND, content=b"state")
        snapshot = pb.StreamSnapshot(stream="hosts/a", version=1, content=content)
        await events.KeepSnapshot(pb.KeepSnapshotRequest(snapshot=snapshot))
    async with serving(AGENT, state_dir=tmp_path) as channel:
        events = rpc.EventStoreServiceStub(channel)
        found = await events.GetSnapshot(pb.GetSnapshotRequest(stream="hosts/a"))
        assert found.snapshot == snapshot
        failed = await refusal(events.GetSnapshot(pb.GetSnapshotRequest(stream="hosts/b")))
        assert (failed.code, failed.reason) == (CODE.NOT_FOUND, "SNAPSHOT_NOT_FOUND")
        snapshot.version = 2
        ahead = await refusal(events.KeepSnapshot(pb.KeepSnapshotRequest(snapshot=snapshot)))
        assert ahead.reason == "STREAM_CONFLICT"


async def test_the_verdict_comes_last(events: rpc.EventStoreServiceAsyncStub) -> None:
    """A head that was noted and is not there is where the chain breaks."""
    await events.AppendEvents(append("hosts/a", "one", "two"))
    told = [one async for one in events.VerifyEvents(pb.VerifyEventsRequest())]
    assert told[-1].verified.position == 2
    assert not told[-1].HasField("broken")
    noted = pb.EventHead(position=2, digest=bytes(32))
    told = [one async for one in events.VerifyEvents(pb.VerifyEventsRequest(noted=noted))]
    assert told[-1].broken.position == 2


async def test_postgres_serves_where_its_file_says(tmp_path: Path) -> None:
    """Two agents on one database see each other's events."""
    place = tmp_path / "dsn"
    settings = cfg.EventStoreSettings(postgres_file=str(place))
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(postgres_server())
        place.write_text(f"{postgres.dsn}\n")
        one, other = [
            await stack.enter_async_context(
                serving(AGENT, settings=settings, state_dir=tmp_path / name)
            )
            for name in ("a", "b")
        ]
        await rpc.EventStoreServiceStub(one).AppendEvents(append("hosts/a", "one"))
        told = await rpc.EventStoreServiceStub(other).ReadEvents(pb.ReadEventsRequest())
    assert [event.id for event in told.events] == ["one"]


def test_a_host_without_a_postgresql_has_none_of_its_driver() -> None:
    """7 MB of every laptop's."""
    assert "psycopg" not in loaded_by(event_store)
