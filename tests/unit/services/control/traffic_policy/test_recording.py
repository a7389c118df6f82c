"""Changes of the policy as events: each once, in order, whoever was away in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.control.registry.agent import AGENT as REGISTRY
from services.control.traffic_policy.agent import AGENT
from services.control.traffic_policy.editing import with_host
from services.control.traffic_policy.ledger import Ledger, Order
from services.control.traffic_policy.recording import STREAM, PolicyHistory
from services.control.traffic_policy.shelf import Shelf
from services.platform.event_store import AGENT as EVENT_STORE
from tandem.control.config.v1 import registry_pb2
from tandem.control.config.v1 import traffic_policy_pb2 as cfg
from tandem.control.v1 import traffic_policy_pb2 as nouns
from tandem.platform.config.v1 import event_store_pb2
from tandem.platform.v1 import event_store_service_pb2 as events
from tandem.platform.v1 import event_store_service_pb2_grpc as events_rpc
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.history import HistoryRecording
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.registry.embedded import embedded_registry
from tandemkit.storage.events.sqlite import sqlite_events
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.parts import short_folder
from tests.unit.services.control.traffic_policy.policies import NOTE, Caller, shares
from tests.unit.services.control.traffic_policy.test_ledger_model import Mortal

pytestmark = pytest.mark.timeout(60)


@asynccontextmanager
async def control(folder: Path, *, with_events: bool) -> AsyncIterator[tuple[Caller, Any]]:
    """A control in one process, with the event store in it or with none anywhere."""
    placed = [
        Placed(REGISTRY, registry_pb2.RegistrySettings()),
        Placed(AGENT, cfg.TrafficPolicySettings()),
    ]
    if with_events:
        placed.append(Placed(EVENT_STORE, event_store_pb2.EventStoreSettings()))
    with short_folder() as sockets:
        address = f"unix:{sockets}/control"
        async with (
            hosting(placed, Place(address, folder, SystemClock(), 0.0)),
            grpc.aio.insecure_channel(address) as channel,
        ):
            yield Caller(channel), events_rpc.EventStoreServiceStub(channel)


async def recorded(store: Any, count: int) -> Sequence[nouns.PolicyChange]:
    """The first so many, once they are there, and all others that are."""
    while True:
        answer = await store.ReadStream(events.ReadStreamRequest(stream=STREAM))
        if len(answer.events) >= count:
            return [nouns.PolicyChange.FromString(one.content.content) for one in answer.events]
        await asyncio.to_thread(lambda: None)


async def test_a_change_of_the_policy_is_an_event(tmp_path: Path) -> None:
    """With who, why, before and after, as the history has it."""
    async with control(tmp_path, with_events=True) as (caller, store):
        await caller.set(shares(v1=90, v2=10))
        await caller.drain("hosts/a")
        await caller.undo()
        found = await recorded(store, 3)
        assert list(found) == list(reversed(await caller.changes()))
        assert [one.version for one in found] == [1, 2, 3]
        assert found[0].note.author == "ana"


async def test_changes_that_nobody_recorded_are_recorded_later(tmp_path: Path) -> None:
    """Also by the next process, and those before and behind them not twice."""
    async with control(tmp_path, with_events=True) as (caller, store):
        await caller.drain("hosts/a")
        await recorded(store, 1)
    async with control(tmp_path, with_events=False) as (caller, _none):
        await caller.drain("hosts/b")
        await caller.drain("hosts/c")
    async with control(tmp_path, with_events=True) as (caller, store):
        await caller.drain("hosts/d")
        found = await recorded(store, 4)
        assert [list(one.drained_hosts) for one in found] == [
            ["hosts/a"],
            ["hosts/b"],
            ["hosts/c"],
            ["hosts/d"],
        ]


async def test_a_history_that_begins_anew_is_recorded_behind_the_old_one(tmp_path: Path) -> None:
    """A registry that was made anew counts from 1 again, and its changes are others."""
    async with control(tmp_path, with_events=True) as (caller, store):
        await caller.drain("hosts/a")
        await recorded(store, 1)
    for file in (tmp_path / "control-registry").iterdir():
        file.unlink()
    async with control(tmp_path, with_events=True) as (caller, store):
        await caller.drain("hosts/b")
        found = await recorded(store, 2)
        assert [one.version for one in found] == [1, 1]
        assert list(found[1].drained_hosts) == ["hosts/b"]


async def test_two_controls_tell_each_change_once(tmp_path: Path) -> None:
    """In its order, whoever of them is quicker."""
    clock, registry_folder = FakeClock(), tmp_path / "registry"
    registry_folder.mkdir()
    async with (
        embedded_registry(registry_folder, clock) as registry,
        sqlite_events(tmp_path / "events.sqlite", clock) as store,
        Tasks() as tasks,
    ):
        ledgers = [Ledger(Shelf(Mortal(registry)), clock) for _ in range(2)]
        for ledger in ledgers:
            tasks.spawn(
                "recording",
                HistoryRecording(PolicyHistory(ledger), store, clock, lambda: 0.0).run(),
            )
        for number in range(1, 6):
            await drain(ledgers[number % 2], f"hosts/{number}")
            await clock.advance(0.1 * number)
        while len(found := await store.read(STREAM)) < 5:
            await clock.advance(30)
        await clock.advance(60)
        assert found == await store.read(STREAM)
        changes = [nouns.PolicyChange.FromString(one.content) for one in found]
        assert [one.version for one in changes] == [1, 2, 3, 4, 5]


async def drain(ledger: Ledger, host: str) -> None:
    async def edit(record: nouns.PolicyRecord) -> nouns.TrafficPolicy:
        return with_host(record.policy, host, drained=True)

    await ledger.change(Order(edit, NOTE, "peer", allow_absent=True))
