"""Changes of the configuration as events: each once, in order, whoever was away in between."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.control.registry.agent import AGENT as REGISTRY
from services.platform.config_server.agent import AGENT
from services.platform.config_server.ledger import SHAPE
from services.platform.event_store import AGENT as EVENT_STORE
from tandem.platform.v1 import config_server_service_pb2 as pb
from tandem.platform.v1 import config_value_pb2 as nouns
from tandem.platform.v1 import event_store_service_pb2 as events
from tandem.platform.v1 import event_store_service_pb2_grpc as events_rpc
from tandemkit.testing.agents import serving
from tests.unit.services.platform.config_server.config_servers import (
    SIZE,
    Caller,
    config_server,
    settings,
)

pytestmark = pytest.mark.timeout(60)


async def recorded(
    store: events_rpc.EventStoreServiceAsyncStub, count: int
) -> list[nouns.ConfigChange]:
    """All, once there are so many."""
    while True:
        answer = await store.ReadStream(events.ReadStreamRequest(stream=SHAPE.name))
        if len(answer.events) >= count:
            return [nouns.ConfigChange.FromString(one.content.content) for one in answer.events]
        await asyncio.to_thread(lambda: None)


async def test_a_change_is_an_event_also_when_nobody_recorded_it_then(tmp_path: Path) -> None:
    """With who, why, before and after, as the history has it; and none twice."""
    beside = (REGISTRY, EVENT_STORE)
    async with serving(AGENT, settings=settings(), beside=beside, state_dir=tmp_path) as channel:
        caller, store = Caller(channel), events_rpc.EventStoreServiceStub(channel)
        await caller.size(1)
        await recorded(store, 1)
    async with config_server(tmp_path) as caller:
        await caller.size(2)
        await caller.clear(SIZE)
    async with serving(AGENT, settings=settings(), beside=beside, state_dir=tmp_path) as channel:
        caller, store = Caller(channel), events_rpc.EventStoreServiceStub(channel)
        await caller.size(4)
        found = await recorded(store, 4)
        history = await caller.stub.ListConfigChanges(pb.ListConfigChangesRequest())
        assert found == list(reversed(history.changes))
        assert [one.version for one in found] == [1, 2, 3, 4]
        assert found[0].note.author == "ana"
