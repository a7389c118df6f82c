"""The federation over gRPC: the fleet's store of vectors beside stores that it opens itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from services.memory.vector_federation.agent import AGENT
from services.memory.vector_store.agent import AGENT as STORE
from tandem.memory.config.v1 import vector_backend_pb2 as backends
from tandem.memory.config.v1 import vector_federation_pb2 as cfg
from tandem.memory.v1 import embedding_pb2 as embeddings
from tandem.memory.v1 import federated_store_pb2 as nouns
from tandem.memory.v1 import vector_collection_pb2 as points
from tandem.memory.v1 import vector_federation_service_pb2 as pb
from tandem.memory.v1 import vector_federation_service_pb2_grpc as rpc
from tandem.memory.v1 import vector_store_service_pb2 as store_pb
from tandem.memory.v1 import vector_store_service_pb2_grpc as store_rpc
from tandemkit.storage.vectors.protocol import Plan, Point, Space
from tandemkit.storage.vectors.stores import opened
from tandemkit.testing.agents import serving
from tandemkit.testing.failures import failure_of

FILES = backends.VectorBackend(files=backends.VectorFiles())
FAISS = backends.VectorBackend(faiss=backends.VectorFaiss())
SPACE = embeddings.EmbeddingSpace(model="model", version="1", dimension=3)
NAME = "namespaces/default/collections/notes"
ANSWERED, LACKING, FAILED = (
    nouns.STORE_STATE_ANSWERED,
    nouns.STORE_STATE_LACKING,
    nouns.STORE_STATE_FAILED,
)


def vector(angle: float) -> list[float]:
    return [float(np.cos(angle)), float(np.sin(angle)), 0.0]


async def fill(folder: Path, backend: backends.VectorBackend, ids: Sequence[str]) -> None:
    """Before the federation opens it; each is a little further away than the one before."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    space = Space("model", "1", 3)
    async with opened(backend, folder) as store:
        collection = await store.create("default.notes", Plan(space))
        made = [
            Point(one, np.array(vector(0.1 * place), dtype=np.float32), {"place": float(place)})
            for place, one in enumerate(ids)
        ]
        await collection.upsert(made, space)


@asynccontextmanager
async def federation(
    folder: Path, *stores: cfg.FederatedStore
) -> AsyncIterator[tuple[rpc.VectorFederationServiceAsyncStub, grpc.aio.Channel]]:
    said = cfg.VectorFederationSettings(stores=stores)
    async with serving(AGENT, settings=said, beside=(STORE,), state_dir=folder) as channel:
        stub: rpc.VectorFederationServiceAsyncStub = rpc.VectorFederationServiceStub(channel)
        yield stub, channel


def asked(**said: Any) -> pb.SearchFederationRequest:
    usual = {"collection": NAME, "space": SPACE, "values": vector(0.0)}
    return pb.SearchFederationRequest(**{**usual, **said})


async def test_m055_files_faiss_and_the_fleets_store_answer_as_one(tmp_path: Path) -> None:
    """Each hit says which stores had it; a store without the collection has nothing to find."""
    home = tmp_path / "memory-vector-federation"
    await fill(home / "files", FILES, ["a", "b", "c"])
    await fill(home / "faiss", FAISS, ["b", "d"])
    async with federation(
        tmp_path,
        cfg.FederatedStore(name="files", backend=FILES),
        cfg.FederatedStore(name="faiss", backend=FAISS),
        cfg.FederatedStore(name="fleet", instance=""),
    ) as (stub, channel):
        found = await stub.SearchFederation(asked())
        assert [one.id for one in found.hits] == ["b", "a", "d", "c"]
        assert [(one.store, one.rank) for one in found.hits[0].ranks] == [
            ("faiss", 1),
            ("files", 2),
        ]
        assert [one.state for one in found.outcomes] == [ANSWERED, ANSWERED, LACKING]
        assert not found.is_partial
        store: store_rpc.VectorStoreServiceAsyncStub = store_rpc.VectorStoreServiceStub(channel)
        created = store_pb.CreateCollectionRequest(collection_id="notes", space=SPACE)
        await store.CreateCollection(created)
        point = points.VectorPoint(id="e", values=vector(0.0))
        upsert = store_pb.UpsertVectorsRequest(collection=NAME, space=SPACE, points=[point])
        await store.UpsertVectors(upsert)
        found = await stub.SearchFederation(asked(limit=3))
        assert [one.state for one in found.outcomes] == [ANSWERED] * 3
        assert {"a", "b", "e"} == {one.id for one in found.hits}
        alone = await stub.SearchFederation(asked(stores=["fleet"]))
        assert [one.id for one in alone.hits] == ["e"]
        listed = (await stub.ListStores(pb.ListStoresRequest())).stores
    assert [one.kind for one in listed] == ["files", "faiss", "instance"]
    assert all(one.is_asked and one.answered for one in listed)


async def test_a_store_that_cannot_be_opened_keeps_nobody_from_answering(tmp_path: Path) -> None:
    """It is marked, with the reason why."""
    home = tmp_path / "memory-vector-federation"
    await fill(home / "good", FILES, ["a"])
    spoiled = home / "bad" / "vectors.sqlite"
    spoiled.parent.mkdir()
    spoiled.write_bytes(b"no database" * 100)
    async with federation(
        tmp_path,
        cfg.FederatedStore(name="good", backend=FILES),
        cfg.FederatedStore(name="bad", backend=FILES),
    ) as (stub, _):
        found = await stub.SearchFederation(asked())
        assert [one.id for one in found.hits] == ["a"]
        assert found.is_partial
        told = {one.store: one.cause for one in found.outcomes}
        assert "damaged" in told["bad"]


async def test_the_fleets_own_store_is_the_default(tmp_path: Path) -> None:
    """And where nobody has the collection that is told as such."""
    async with federation(tmp_path) as (stub, _):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.SearchFederation(asked())
        assert failure_of(caught.value).reason == "COLLECTION_NOT_FOUND"


async def test_what_the_fleets_store_refuses_is_told_as_of_any_other(tmp_path: Path) -> None:
    """Vectors of another space; and an instance that nobody can reach, which is not one without
    hits.
    """
    nowhere = cfg.FederatedStore(name="nowhere", instance="memory-vector-store-gone")
    fleet = cfg.FederatedStore(name="fleet", instance="")
    async with federation(tmp_path, fleet, nowhere) as (stub, channel):
        store: store_rpc.VectorStoreServiceAsyncStub = store_rpc.VectorStoreServiceStub(channel)
        other = embeddings.EmbeddingSpace(model="other", version="1", dimension=3)
        await store.CreateCollection(
            store_pb.CreateCollectionRequest(collection_id="notes", space=other)
        )
        for names, reason in (
            (["fleet"], "SPACE_MISMATCH"),
            (["nowhere"], "STORES_UNREACHABLE"),
            (["fleet", "nowhere"], "STORES_UNREACHABLE"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.SearchFederation(asked(stores=names))
            assert failure_of(caught.value).reason == reason
        listed = (await stub.ListStores(pb.ListStoresRequest())).stores
    assert [one.is_asked for one in listed] == [True, False]


async def test_bad_requests_are_refused_with_their_reason(tmp_path: Path) -> None:
    """A store that there is not, too few numbers, and no numbers at all."""
    async with federation(tmp_path) as (stub, _):
        for reason, request in (
            ("FEDERATED_STORE_NOT_FOUND", asked(stores=["nowhere"])),
            ("VECTOR_INVALID", asked(values=[1.0])),
            ("VECTOR_INVALID", asked(space=embeddings.EmbeddingSpace(dimension=4))),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.SearchFederation(request)
            assert failure_of(caught.value).reason == reason
