"""Stores of vectors in processes of their own, each behind a network that takes its time."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.memory.vector_store import agent
from tandem.memory.v1 import embedding_pb2 as embeddings
from tandem.memory.v1 import vector_collection_pb2 as nouns
from tandem.memory.v1 import vector_store_service_pb2 as pb
from tandem.memory.v1 import vector_store_service_pb2_grpc as rpc
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.tokens import shown, token_of_user
from tests.bench import _grown_host

DIMENSION = 384
SPACE = embeddings.EmbeddingSpace(model="random", version="1", dimension=DIMENSION)
COLLECTION = "namespaces/default/collections/notes"
_CHUNK_BYTES = 64 * 1024
_POINTS_AT_ONCE = 500


class SlowLine:
    """Passes bytes on, each way half of `round_trip_s` later. What follows does not wait for what
    is on its way, as on a real line.
    """

    def __init__(self, socket: Path) -> None:
        self._socket, self.round_trip_s = socket, 0.0
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for asyncio.start_unix_server."""
        there_reader, there_writer = await asyncio.open_unix_connection(self._socket)
        self._writers += (writer, there_writer)
        await asyncio.gather(self._pass(reader, there_writer), self._pass(there_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        later = asyncio.get_running_loop().call_later
        while chunk := await reader.read(_CHUNK_BYTES):
            later(self.round_trip_s / 2, writer.write, chunk)

    def abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


class FarStores:
    """Stubs of the stores, in their order, and how far they are."""

    def __init__(self) -> None:
        self.stubs: list[rpc.VectorStoreServiceAsyncStub] = []
        self.lines: list[SlowLine] = []

    def move(self, round_trip_s: float) -> None:
        """All of them, to that distance."""
        for line in self.lines:
            line.round_trip_s = round_trip_s


@asynccontextmanager
async def far_stores(
    folder: Path, count: int, vectors: Callable[[int], NDArray[np.float32]]
) -> AsyncIterator[FarStores]:
    """`vectors` are those of a store, by its number; their ids are theirs alone, but each store has
    half of the next one's too.
    """
    made = FarStores()
    async with AsyncExitStack() as stack:
        for number in range(count):
            socket, log = folder / f"{number}.sock", folder / f"{number}.log"
            await stack.enter_async_context(_hosted(socket, log, folder / f"state-{number}"))
            line = SlowLine(socket)
            front = folder / f"{number}.front"
            server = await asyncio.start_unix_server(line.serve, front)
            await stack.enter_async_context(server)
            stack.callback(line.abort)
            channel = await stack.enter_async_context(shown(f"unix:{front}", token_of_user(folder)))
            stub: rpc.VectorStoreServiceAsyncStub = rpc.VectorStoreServiceStub(channel)
            made.stubs.append(stub)
            made.lines.append(line)
            await _fill(stub, number, vectors(number))
        yield made


@asynccontextmanager
async def _hosted(socket: Path, log: Path, state: Path) -> AsyncIterator[None]:
    where = ("--listen", f"unix:{socket}", "--state", str(state))
    arguments = ("--modules", agent.__name__, *where)
    argv = (sys.executable, "-m", _grown_host.__name__, *arguments)
    # Stores on machines of their own do not wait for each other's threads of numpy.
    alone = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(state.parent), **alone}

    async def serves() -> None:
        assert "host.serving" in await asyncio.to_thread(log.read_text)

    async with supervised_process(Command(argv, log, env=environment), ready=serves):
        yield


async def _fill(
    stub: rpc.VectorStoreServiceAsyncStub, number: int, values: NDArray[np.float32]
) -> None:
    await stub.CreateCollection(pb.CreateCollectionRequest(collection_id="notes", space=SPACE))
    half = len(values) // 2
    for at in range(0, len(values), _POINTS_AT_ONCE):
        points = [
            nouns.VectorPoint(id=f"p{number * half + place}", values=one.tolist())
            for place, one in enumerate(values[at : at + _POINTS_AT_ONCE], at)
        ]
        request = pb.UpsertVectorsRequest(collection=COLLECTION, space=SPACE, points=points)
        await stub.UpsertVectors(request)
