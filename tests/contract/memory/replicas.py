"""Replicas of what remembers on one store, in this process or as processes that can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import grpc
from google.protobuf import json_format

from services.memory.memory_orchestrator.agent import AGENT
from tandem.fleet.v1.state_pb2 import StatePostgres, StateRedis, StateStore
from tandem.memory.config.v1 import memory_orchestrator_pb2 as cfg
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_orchestrator_service_pb2_grpc as rpc
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.testing.parts_storage import durable_redis_server, postgres_server
from tests.contract.memory import replica_host

Stub: TypeAlias = "rpc.MemoryOrchestratorServiceAsyncStub"


@asynccontextmanager
async def store(kind: str, folder: Path) -> AsyncIterator[StateStore]:
    """What a fleet's profile would say, with the server that it names."""
    async with AsyncExitStack() as stack:
        if kind == "postgres":
            server = await stack.enter_async_context(postgres_server())
            (dsn := folder / "dsn").write_text(server.dsn)
            yield StateStore(postgres=StatePostgres(dsn_file=str(dsn)))
        elif kind == "redis":
            redis = await stack.enter_async_context(durable_redis_server())
            yield StateStore(redis=StateRedis(address=f"unix:{redis.socket}"))
        else:
            yield StateStore()


@asynccontextmanager
async def replica(
    folder: Path, chosen: StateStore, beside: Sequence[Agent] = ()
) -> AsyncIterator[Stub]:
    address = f"unix:{folder}/sock"
    place = Place(address, folder / "state", SystemClock(), 0.0, store=chosen)
    placed = (Placed(AGENT, cfg.MemoryOrchestratorSettings()), *(Placed(a, None) for a in beside))
    async with hosting(placed, place), grpc.aio.insecure_channel(address) as channel:
        yield rpc.MemoryOrchestratorServiceStub(channel)


@dataclass(frozen=True, slots=True)
class Victim:
    """A replica that is a process of its own."""

    process: Process
    stub: Stub

    def kill(self) -> None:
        """As kill -9 does."""
        os.killpg(self.process.pid, signal.SIGKILL)


@asynccontextmanager
async def victim(folder: Path, chosen: StateStore) -> AsyncIterator[Victim]:
    said = json_format.MessageToJson(chosen)
    argv = (sys.executable, replica_host.__file__, str(folder), said)
    command = Command(argv, folder / "log", env={"PYTHONPATH": os.pathsep.join(sys.path)})
    async with (
        supervised_process(command) as process,
        grpc.aio.insecure_channel(f"unix:{folder}/sock") as channel,
    ):
        await asyncio.wait_for(channel.channel_ready(), 20)
        yield Victim(process, rpc.MemoryOrchestratorServiceStub(channel))


async def add(stub: Stub, memory_id: str, text: str) -> None:
    request = pb.AddMemoryRequest(memory_id=memory_id, memory=nouns.Memory(text=text))
    await stub.AddMemory(request)


async def found(stub: Stub, query: str) -> list[str]:
    told = await stub.SearchMemories(pb.SearchMemoriesRequest(query=query))
    return [hit.memory.name.rpartition("/")[2] for hit in told.hits]
