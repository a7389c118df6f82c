"""A client over an orchestrator of a test, and its calls in few words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from services.memory.memory_client.agent import AGENT
from tandem.memory.config.v1.memory_client_pb2 import MemoryClientSettings
from tandem.memory.v1 import memory_client_service_pb2 as pb
from tandem.memory.v1 import memory_client_service_pb2_grpc as rpc
from tandem.memory.v1 import memory_orchestrator_service_pb2 as asked
from tandem.memory.v1.memory_pb2 import Memory
from tandemkit.testing.agents import serving
from tandemkit.testing.failures import Failure, failure_of
from tests.cluster.eventually import eventually
from tests.unit.services.memory.memory_client.orchestrators import FakeOrchestrator


def name(memory_id: str) -> str:
    return f"namespaces/default/memories/{memory_id}"


class Client:
    """The calls, in the words of these tests."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.stub: Any = rpc.MemoryClientServiceStub(channel)

    async def add(self, memory_id: str, text: str, *about: str) -> Any:
        memory = Memory(text=text, subjects=about)
        return await self.stub.AddMemory(asked.AddMemoryRequest(memory_id=memory_id, memory=memory))

    async def update(self, memory_id: str, text: str, version: int = 0, request: str = "") -> Any:
        wanted = asked.UpdateMemoryRequest(
            name=name(memory_id),
            memory=Memory(text=text),
            expected_version=version,
            request_id=request,
        )
        wanted.update_mask.paths.append("text")
        return await self.stub.UpdateMemory(wanted)

    async def delete(self, memory_id: str, version: int = 0) -> Any:
        wanted = asked.DeleteMemoryRequest(name=name(memory_id), expected_version=version)
        return await self.stub.DeleteMemory(wanted)

    async def get(self, memory_id: str, age_max_s: int | None = None) -> Any:
        age_max = None if age_max_s is None else Duration(seconds=age_max_s)
        request = pb.MemoryClientServiceGetMemoryRequest(name=name(memory_id), age_max=age_max)
        return await self.stub.GetMemory(request)

    async def search(self, query: str) -> Any:
        return await self.stub.SearchMemories(asked.SearchMemoriesRequest(query=query))

    async def resolve(self, number: int, resolution: Any) -> Any:
        request = pb.ResolveJournalEntryRequest(number=number, resolution=resolution)
        return await self.stub.ResolveJournalEntry(request)

    async def journal(self) -> Any:
        return await self.stub.GetJournal(pb.GetJournalRequest(page_size=100))

    async def drained(self) -> None:
        await eventually(self.journal, lambda found: not found.standing.depth)


@asynccontextmanager
async def client_of(
    orchestrator: FakeOrchestrator, folder: Path, **settings: Any
) -> AsyncIterator[Client]:
    said = MemoryClientSettings(patience=Duration(nanos=200_000_000), **settings)
    beside = (orchestrator.agent, orchestrator.event_store)
    async with serving(AGENT, settings=said, beside=beside, state_dir=folder) as channel:
        yield Client(channel)


def holding(folder: Path, words: bytes) -> list[Path]:
    """Files that have these words."""
    files = (one for one in folder.rglob("*") if one.is_file())
    return [one for one in files if words in one.read_bytes()]


async def refusal(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return failure_of(raised.value)
