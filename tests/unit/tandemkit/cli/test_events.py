"""`events` against the real event store: what was, what comes, and from when on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
from click.testing import CliRunner, Result
from google.protobuf.any_pb2 import Any as Any_
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message

from services.platform.event_store import AGENT
from tandem.control.v1.child_event_pb2 import CHILD_STEP_FAILED, ChildEvent
from tandem.control.v1.traffic_policy_pb2 import ChangeNote, TrafficPolicy
from tandem.platform.config.v1.event_store_pb2 import EventStoreSettings
from tandem.platform.v1 import event_store_service_pb2 as pb
from tandem.platform.v1 import event_store_service_pb2_grpc as rpc
from tandemkit.cli.event_reading import Reader
from tandemkit.cli.event_text import Schemas, event_json, event_line
from tandemkit.cli.events import events
from tandemkit.cli.moments import rfc3339
from tandemkit.cli.output import Refusal
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.testing.clock import FakeClock

SCHEMAS = Schemas(FileDescriptorSet())


class Store:
    """A store with a clock that the test turns, and a person who looks at it."""

    def __init__(self, address: str, clock: FakeClock, channel: grpc.aio.Channel) -> None:
        self.address, self.clock, self.channel = address, clock, channel
        self._stub: Any = rpc.EventStoreServiceStub(channel)
        self._count = 0

    async def record(self, stream: str, *messages: Message) -> None:
        new = []
        for message in messages:
            self._count += 1
            name = message.DESCRIPTOR.full_name
            content = pb.EventContent(schema=name, content=message.SerializeToString())
            new.append(pb.NewEvent(id=f"e{self._count}", content=content))
        await self._stub.AppendEvents(pb.AppendEventsRequest(stream=stream, events=new))

    async def show(self, *words: str) -> Result:
        arguments = [*words, "--address", self.address]
        return await asyncio.to_thread(CliRunner().invoke, events, arguments)

    async def positions(self, *words: str) -> list[int]:
        done = await self.show(*words, "--json")
        assert done.exit_code == 0, done.exception
        return [json.loads(line)["position"] for line in done.output.splitlines()]


@asynccontextmanager
async def store(folder: Path) -> AsyncIterator[Store]:
    clock = FakeClock()
    place = Place("127.0.0.1:0", folder, clock, 0.0)
    async with hosting((Placed(AGENT, EventStoreSettings()),), place) as port:
        address = f"127.0.0.1:{port}"
        async with grpc.aio.insecure_channel(address) as channel:
            yield Store(address, clock, channel)


def note(reason: str) -> ChangeNote:
    return ChangeNote(author="ana", reason=reason)


async def test_the_last_events_are_shown_in_their_order(tmp_path: Path) -> None:
    """Of all streams, or of those that begin as asked, however far back they are."""
    async with store(tmp_path) as one:
        await one.record("policy/traffic", note("first"), note("second"))
        await one.record("machines/laptop", *(note(f"restart {number}") for number in range(30)))
        assert await one.positions("-n", "3") == [30, 31, 32]
        assert await one.positions("-n", "2", "--stream", "policy/") == [1, 2]
        assert await one.positions("-n", "0") == []
        assert await one.positions() == list(range(1, 33))


async def test_an_empty_store_shows_nothing(tmp_path: Path) -> None:
    """And is no failure."""
    async with store(tmp_path) as one:
        assert await one.positions() == []
        assert await one.positions("--since", "now-1h") == []


async def test_events_are_shown_from_a_moment_on(tmp_path: Path) -> None:
    """All of them, unless a number is asked for too."""
    async with store(tmp_path) as one:
        for number in range(5):
            await one.record("policy/traffic", note(str(number)))
            await one.clock.advance(60)
        then = rfc3339(one.clock.now() - timedelta(seconds=150))
        assert await one.positions("--since", then) == [4, 5]
        assert await one.positions("--since", then, "-n", "1") == [5]
        assert await one.positions("--since", then, "--stream", "machines/") == []
        refused = await one.show("--since", "noon")
    assert isinstance(refused.exception, Refusal)


async def test_a_line_says_what_the_content_says(tmp_path: Path) -> None:
    """By the checkout's contracts; what none of them is stays bytes."""
    async with store(tmp_path) as one:
        await one.record("policy/traffic", note("a drill\x1b[2J"))
        read = [event async for event in Reader(one.channel, "").behind(0)]
    line = event_line(read[0], SCHEMAS)
    assert line.endswith(r'#1  policy/traffic  ChangeNote  author=ana  reason="a drill\\x1b[2J"')
    assert json.loads(event_json(read[0], SCHEMAS))["content"] == {
        "author": "ana",
        "reason": "a drill\x1b[2J",
    }
    read[0].content.schema = "acme.v1.Unknown"
    assert "bytes of acme.v1.Unknown" in event_line(read[0], SCHEMAS)
    assert json.loads(event_json(read[0], SCHEMAS))["content_base64"]


def test_content_that_nobody_can_say_stays_bytes() -> None:
    """Whoever records such an event hides none of the others."""
    timeless, boxed = ChildEvent(), Any_(type_url="x/acme.v1.Unknown", value=b"a")
    timeless.time.seconds = 10**15
    for message in (timeless, boxed):
        schema = message.DESCRIPTOR.full_name
        content = pb.EventContent(schema=schema, content=message.SerializeToString())
        event = pb.Event(position=1, content=content)
        assert f"bytes of {schema}" in event_line(event, SCHEMAS)
        assert json.loads(event_json(event, SCHEMAS))["content_base64"]


async def test_new_events_are_followed(tmp_path: Path) -> None:
    """Behind what was there, and each once."""
    async with store(tmp_path) as one:
        await one.record("policy/traffic", note("before"))
        seen: list[str] = []
        async for event in Reader(one.channel, "policy/").follow(0):
            seen.append(str(SCHEMAS.told(event.content)))
            if len(seen) == 2:
                break
            await one.record("machines/laptop", note("other"))
            await one.record("policy/traffic", note("after"))
    assert ["before" in seen[0], "after" in seen[1]] == [True, True]


async def test_a_store_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    """Nobody reads a traceback."""
    async with store(tmp_path) as one:
        pass
    done = await one.show()
    assert isinstance(done.exception, Refusal)
    assert done.exception.message.startswith("the event store: UNAVAILABLE")


async def test_a_line_leaves_out_what_it_says_already(tmp_path: Path) -> None:
    """The moment, and what the stream is called after; an enum's value is said without its name."""
    happened = ChildEvent(machine="laptop", host="laptop-agents", child="agents/utility-files")
    happened.step = CHILD_STEP_FAILED
    happened.time.GetCurrentTime()
    async with store(tmp_path) as one:
        await one.record("machines/laptop/laptop-agents", happened)
        await one.record("policy/traffic", TrafficPolicy(drained_hosts=["hosts/a"]))
        event, listed = [event async for event in Reader(one.channel, "").behind(0)]
    assert event_line(listed, SCHEMAS).endswith('TrafficPolicy  drained_hosts=["hosts/a"]')
    line = event_line(event, SCHEMAS)
    assert line.endswith("ChildEvent  child=agents/utility-files  step=FAILED")
    assert json.loads(event_json(event, SCHEMAS))["content"]["machine"] == "laptop"
