"""The commands of late are read where they are kept up to date, and nobody is asked for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.platform.event_store import AGENT as EVENT_STORE
from services.platform.system.recent import KEPT_MAX, Recent
from tandem.platform.v1 import event_store_service_pb2 as events
from tandem.platform.v1 import event_store_service_pb2_grpc as events_rpc
from tandem.platform.v1 import system_service_pb2 as pb
from tandemkit.rpc.borrowed import Borrowed
from tandemkit.testing.agents import serving
from tests.unit.services.platform.system.machines import FakeFleet, FakeMachine, command, commanding

pytestmark = pytest.mark.timeout(60)
READS = 40


class Counted(Borrowed):
    """A channel that counts the calls over it, those that read."""

    def __init__(self, wire: grpc.aio.Channel) -> None:
        super().__init__(wire)
        self.reads = 0

    def unary_unary(self, method: str, *codecs: Any, **options: Any) -> Any:
        return self._way(method, self._wire.unary_unary(method, *codecs, **options))

    def unary_stream(self, method: str, *codecs: Any, **options: Any) -> Any:
        return self._way(method, self._wire.unary_stream(method, *codecs, **options))

    def stream_unary(self, method: str, *codecs: Any, **options: Any) -> Any:
        return self._wire.stream_unary(method, *codecs, **options)

    def stream_stream(self, method: str, *codecs: Any, **options: Any) -> Any:
        return self._wire.stream_stream(method, *codecs, **options)

    def _way(self, method: str, far: Any) -> Any:
        def call(*request: Any, **options: Any) -> Any:
            self.reads += method.rpartition("/")[2] in {"ReadStream", "ReadEvents", "FollowEvents"}
            return far(*request, **options)

        return call


@dataclass
class Site:
    system: Any
    store: Any
    channel: Counted
    seen: list[str] = field(default_factory=list)

    async def recent(self, count: int = 0) -> pb.GetRecentCommandsResponse:
        request = pb.GetRecentCommandsRequest(commands_max=count)
        found: pb.GetRecentCommandsResponse = await self.system.GetRecentCommands(request)
        return found

    async def told(self, names: list[str]) -> pb.GetRecentCommandsResponse:
        """What it says once it has caught up with these commands, the newest first."""
        while True:
            found = await self.recent()
            done = [one.request.request_id for one in found.commands if one.HasField("end_time")]
            if done == names and not found.HasField("behind"):
                return found
            await asyncio.to_thread(lambda: None)


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    fleet = FakeFleet(FakeMachine("mainpc", {"agents": ["text-tell"]}))
    async with serving(EVENT_STORE, state_dir=folder / "store") as channel:
        counted = Counted(channel)
        async with commanding(fleet, folder, counted) as system:
            yield Site(system, events_rpc.EventStoreServiceStub(counted), counted)


async def test_m028_reads_of_a_projection_ask_nobody(tmp_path: Path) -> None:
    """So many reads by asking cost the event store as many calls; by the projection none."""
    async with site(tmp_path) as it:
        await it.system.RunCommand(command("stop", "text-tell"))
        await it.told(["one"])
        before = it.channel.reads
        for _ in range(READS):
            await it.store.ReadStream(events.ReadStreamRequest(stream="commands"))
        by_asking, before = it.channel.reads - before, it.channel.reads
        for _ in range(READS):
            assert len((await it.recent()).commands) == 1
        by_projection = it.channel.reads - before
    assert (by_asking, by_projection) == (READS, 0)


async def test_it_is_there_again_after_a_restart(tmp_path: Path) -> None:
    """The events are what is kept; the newest command comes first."""
    async with site(tmp_path) as it:
        for name in ("one", "two"):
            await it.system.RunCommand(command("stop", "text-tell", request_id=name))
        await it.told(["two", "one"])
    async with site(tmp_path) as it:
        await it.told(["two", "one"])
        assert [one.request.request_id for one in (await it.recent(1)).commands] == ["two"]


def test_the_last_commands_are_kept_and_no_more() -> None:
    """And events of other kinds are none of them."""
    recent = Recent()
    for number in range(KEPT_MAX + 5):
        one = pb.SystemCommand(request=command("stop", "text-tell", request_id=str(number)))
        kind = one.DESCRIPTOR.full_name
        content = events.EventContent(schema=kind, content=one.SerializeToString())
        recent.heard(events.Event(content=content))
    recent.heard(events.Event(content=events.EventContent(schema="tandem.x", content=b"\xff")))
    kept = [int(one.request.request_id) for one in recent.last(KEPT_MAX)]
    assert kept == list(range(KEPT_MAX + 4, 4, -1))
