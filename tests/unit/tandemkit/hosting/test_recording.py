"""What happens to supervised children, in the event store: all of it, once, with its cause."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.platform.event_store import AGENT
from tandem.control.v1 import child_event_pb2 as nouns
from tandem.platform.v1 import event_store_service_pb2 as pb
from tandem.platform.v1 import event_store_service_pb2_grpc as rpc
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.child_events import Notable, Origin, child_event
from tandemkit.hosting.recording import Recorder, RecordingSink, StoreAgent, recording
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.events.protocol import IdTaken, NewEvent
from tandemkit.supervise.children import task
from tandemkit.supervise.reports import (
    Asked,
    Cancelled,
    Ending,
    Exited,
    Happening,
    Killed,
    Link,
    LogSink,
    NotReady,
    Raised,
    Report,
    Returned,
    Sibling,
    Sinks,
)
from tandemkit.supervise.supervisor import Supervisor, supervising
from tandemkit.supervise.ward import Means
from tandemkit.testing.agents import serving
from tandemkit.testing.clock import FakeClock

AT = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
ORIGIN = Origin("mainpc", "mainpc-text")
STREAM = "machines/mainpc/mainpc-text"


BROKEN = Raised(
    (Link("ValueError", "no life", ""), Link("OSError", "the pulse stopped", "heart:7"))
)


@asynccontextmanager
async def stored(folder: Path) -> AsyncIterator[Any]:
    async with serving(AGENT, state_dir=folder) as channel:
        yield rpc.EventStoreServiceStub(channel)


async def recorded(stub: Any, stream: str = STREAM) -> list[nouns.ChildEvent]:
    answer = await stub.ReadStream(pb.ReadStreamRequest(stream=stream))
    return [nouns.ChildEvent.FromString(one.content.content) for one in answer.events]


def steps(events: list[nouns.ChildEvent]) -> list[str]:
    return [nouns.ChildStep.Name(one.step).removeprefix("CHILD_STEP_") for one in events]


async def test_a_restart_is_an_event_with_its_cause(tmp_path: Path) -> None:
    """The failure, the new start and the moment that it is there again; not the first start."""
    lives: list[str] = []

    async def work() -> None:
        lives.append("one")
        if len(lives) == 1:
            raise OSError("the pulse stopped")
        await FakeClock().sleep(1)

    clock = FakeClock()
    async with (
        stored(tmp_path / "store") as stub,
        recording(tmp_path / "box", STREAM, stub, SystemClock()) as recorder,
    ):
        sink = Sinks(LogSink(), RecordingSink(recorder, ORIGIN))
        async with supervising(
            Supervisor("agents", [task("pulse", work)], means=Means(clock, sink))
        ):
            while len(lives) < 2:
                await clock.advance(1)
        while len(events := await recorded(stub)) < 3:
            pass
    assert steps(events) == ["FAILED", "RESTARTING", "UP"]
    failed, restarting, up = events
    assert (failed.machine, failed.host, failed.child) == ("mainpc", "mainpc-text", "agents/pulse")
    assert failed.failures == 1
    assert failed.restart_in.ToTimedelta().total_seconds() > 0
    assert [one.message for one in failed.cause.raised.chain] == ["the pulse stopped"]
    assert restarting.cause == failed.cause
    assert not up.HasField("cause")


async def test_what_happened_while_the_store_was_away_arrives(tmp_path: Path) -> None:
    """From the file of the process, also where the process is another one by then."""
    box = tmp_path / "box"
    async with (
        grpc.aio.insecure_channel(f"unix:{tmp_path}/nobody") as nowhere,
        recording(box, STREAM, rpc.EventStoreServiceStub(nowhere), SystemClock()) as recorder,
    ):
        failing = child_event(Report(AT, "agents/a", Happening.FAILED, BROKEN, 1, 0.5), ORIGIN)
        await recorder.keep(failing)
    async with stored(tmp_path / "store") as stub:
        async with recording(box, STREAM, stub, SystemClock()):
            while not (events := await recorded(stub)):
                pass
        assert events == [failing]


@pytest.mark.parametrize(
    ("cause", "field", "said"),
    [
        (BROKEN, "raised", "the pulse stopped"),
        (Exited(None, "SIGKILL", "killed"), "exited", "SIGKILL"),
        (Exited(3, "", "bad"), "exited", "status: 3"),
        (Killed("its loop was held", "bad"), "killed", "its loop was held"),
        (NotReady(2.5), "not_ready_within", "seconds: 2"),
        (Sibling("store"), "sibling", "store"),
        (Asked("ann", "new address"), "asked", 'author: "ann"'),
        (Returned(), "returned", ""),
        (Cancelled(), "cancelled", ""),
        (Ending(), "ending", ""),
    ],
)
def test_each_cause_has_its_message(cause: Any, field: str, said: str) -> None:
    """None is told as another, and none without what it holds."""
    event = child_event(Report(AT, "agents/a", Happening.RESTARTING, cause), ORIGIN)
    assert event.cause.WhichOneof("cause") == field
    assert said in str(event.cause)
    assert event.time.ToDatetime(UTC) == AT


def test_last_words_are_recorded_once() -> None:
    """With the failure, and not again with the restart that follows it."""
    for ended in (Exited(3, "", "it was too much"), Killed("held", "it was too much")):
        failed, restarted = (
            child_event(Report(AT, "agents/a", one, ended), ORIGIN).cause
            for one in (Happening.FAILED, Happening.RESTARTING)
        )
        assert "it was too much" in str(failed)
        assert "it was too much" not in str(restarted)
        assert failed.WhichOneof("cause") == restarted.WhichOneof("cause")


def test_each_happening_is_notable_or_routine() -> None:
    """No report is lost for want of a name, and a morning without trouble leaves no event."""
    notable, morning = Notable(), [Happening.STARTING, Happening.UP]
    evening = [Happening.STOPPING, Happening.STOPPED]
    assert not any(notable.is_notable(Report(AT, "a", one)) for one in [*morning, *evening])
    for happening in set(Happening) - {*morning, *evening}:
        report = Report(AT, "a", happening)
        assert notable.is_notable(report)
        assert child_event(report, ORIGIN).step
    assert notable.is_notable(Report(AT, "a", Happening.UP))
    assert not notable.is_notable(Report(AT, "a", Happening.UP))


def test_a_machine_has_a_stream_and_each_of_its_hosts() -> None:
    """A prefix finds a machine with all that runs on it."""
    assert Origin("mainpc").stream == "machines/mainpc"
    assert ORIGIN.stream == STREAM


async def test_an_event_store_agent_is_a_store(tmp_path: Path) -> None:
    """Its refusals are told apart: an id that is another event's, and everything else."""
    async with stored(tmp_path) as stub:
        store = StoreAgent(stub)
        await store.append(STREAM, [NewEvent("one", "tandem.trial.v1.Told", b"x")])
        with pytest.raises(IdTaken):
            await store.append(STREAM, [NewEvent("one", "tandem.trial.v1.Told", b"y")])
        with pytest.raises(Unreachable, match="INVALID_REQUEST"):
            await store.append("no stream!", [NewEvent("two", "tandem.trial.v1.Told", b"y")])


async def test_a_note_of_the_same_id_counts_once(tmp_path: Path) -> None:
    """Whoever is not sure notes it again."""
    note = child_event(Report(AT, "agents/a", Happening.FAILED, BROKEN), ORIGIN)
    async with stored(tmp_path / "store") as stub:
        async with recording(tmp_path / "box", STREAM, stub, SystemClock()) as recorder:
            await twice(recorder, note)
            while not await recorded(stub):
                pass
            await twice(recorder, note)
        async with recording(tmp_path / "box", STREAM, stub, SystemClock()) as recorder:
            await recorder.keep(note, "the-last")
            while (events := await recorded(stub)) == [note]:
                pass
        assert events == [note, note]


async def twice(recorder: Recorder, note: nouns.ChildEvent) -> None:
    await recorder.keep(note, "the-same")
    await recorder.keep(note, "the-same")
