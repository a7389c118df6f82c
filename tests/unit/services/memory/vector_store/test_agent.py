"""Catalogue row M149: vectors as a service, through a real server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from services.memory.vector_federation import agent as federation
from services.memory.vector_store import agent as store
from services.memory.vector_store.agent import AGENT
from tandem.memory.config.v1 import vector_backend_pb2 as backends
from tandem.memory.config.v1.vector_store_pb2 import VectorStoreSettings
from tandem.memory.v1 import subject_pb2 as subjects
from tandem.memory.v1 import vector_collection_pb2 as nouns
from tandem.memory.v1 import vector_store_service_pb2 as pb
from tandem.memory.v1 import vector_store_service_pb2_grpc as rpc
from tandem.memory.v1.embedding_pb2 import EmbeddingSpace
from tandem.memory.v1.label_filter_pb2 import Label, LabelCondition, LabelFilter, TextSet
from tandemkit.storage.vectors.protocol import DIMENSION_MAX
from tandemkit.testing.agents import serving
from tandemkit.testing.failures import Failure, failure_of
from tests.contract.vectors.points import clustered

SPACE = EmbeddingSpace(model="hashing", version="1", dimension=16)
NAME = "namespaces/default/collections/texts"


@pytest.fixture(params=["files", "faiss"])
async def agent(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    # About 2,800 vectors of 16 numbers.
    backend = json_format.ParseDict(
        {request.param: {"memory_bytes_max": 200_000}}, backends.VectorBackend()
    )
    settings = VectorStoreSettings(backend=backend, collections_max=3)
    async with serving(AGENT, settings=settings, state_dir=tmp_path) as channel:
        yield rpc.VectorStoreServiceStub(channel)


async def refusal(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return failure_of(raised.value)


def points(number: int, *subject: str) -> list[nouns.VectorPoint]:
    labels = [Label(key="subjects", texts=TextSet(texts=subject))] if subject else []
    return [
        nouns.VectorPoint(id=f"{''.join(subject)}{one.id}", values=one.values, labels=labels)
        for one in clustered(1000)[:number]
    ]


async def filled(agent: Any, number: int, *subject: str) -> None:
    await agent.CreateCollection(pb.CreateCollectionRequest(collection_id="texts", space=SPACE))
    told = points(number, *subject)
    await agent.UpsertVectors(pb.UpsertVectorsRequest(collection=NAME, space=SPACE, points=told))


def about(subject: str) -> LabelFilter:
    condition = LabelCondition(key="subjects", one_of=TextSet(texts=[subject]))
    return LabelFilter(conditions=[condition])


async def test_m149_vectors_are_kept_found_and_deleted(agent: Any) -> None:
    """By likeness, by id and by label."""
    await filled(agent, 100)
    await filled(agent, 10, "Ada")
    one = points(1)[0]
    hits = (
        await agent.SearchVectors(
            pb.SearchVectorsRequest(collection=NAME, space=SPACE, values=one.values, limit=2)
        )
    ).hits
    assert {hit.id for hit in hits} == {"p0", "Adap0"}
    assert hits[0].score == pytest.approx(1.0, abs=1e-5)
    found = await agent.FetchVectors(pb.FetchVectorsRequest(collection=NAME, ids=["no", "p0"]))
    assert [point.id for point in found.points] == ["p0"]
    assert list(found.points[0].values) == pytest.approx(list(one.values))
    counting = pb.CountVectorsRequest(collection=NAME, filter=about("Ada"))
    assert (await agent.CountVectors(counting)).points == 10
    gone = pb.DeleteVectorsRequest(collection=NAME, filter=about("Ada"))
    assert (await agent.DeleteVectors(gone)).deleted == 10
    assert (await agent.DeleteVectors(gone)).deleted == 0
    told = await agent.GetCollection(pb.GetCollectionRequest(name=NAME))
    assert told.collection.points == 100
    assert told.collection.space == SPACE


async def test_vectors_are_listed_by_pages(agent: Any) -> None:
    """Each once, in the order of their ids, with their numbers only if asked."""
    await filled(agent, 25)
    seen: list[str] = []
    request = pb.ListVectorsRequest(collection=NAME, page_size=10)
    while True:
        page = await agent.ListVectors(request)
        assert not any(point.values for point in page.points)
        seen += [point.id for point in page.points]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert seen == sorted(f"p{number}" for number in range(25))
    request.with_values = True
    request.filter.CopyFrom(about("Ada"))
    assert (await refusal(agent.ListVectors(request))).reason == "PAGE_TOKEN_INVALID"


async def test_collections_are_of_a_namespace(agent: Any) -> None:
    """Listed there by pages, and deleted with all that is in them."""
    for namespace in ("", "other"):
        for one in ("b", "a") if namespace else ("texts",):
            await agent.CreateCollection(
                pb.CreateCollectionRequest(namespace=namespace, collection_id=one, space=SPACE)
            )
    page = await agent.ListCollections(pb.ListCollectionsRequest(namespace="other", page_size=1))
    assert [one.name for one in page.collections] == ["namespaces/other/collections/a"]
    page = await agent.ListCollections(
        pb.ListCollectionsRequest(namespace="other", page_token=page.next_page_token)
    )
    assert [one.name for one in page.collections] == ["namespaces/other/collections/b"]
    full = pb.CreateCollectionRequest(collection_id="one-more", space=SPACE)
    assert (await refusal(agent.CreateCollection(full))).reason == "COLLECTIONS_FULL"
    gone = pb.DeleteCollectionRequest(name=NAME)
    assert (await agent.DeleteCollection(gone)).was_there
    assert not (await agent.DeleteCollection(gone)).was_there
    assert (await agent.CreateCollection(full)).collection.index == nouns.VECTOR_INDEX_AUTO


async def test_each_refusal_says_its_reason(agent: Any) -> None:
    """With what would have to be otherwise."""
    search = pb.SearchVectorsRequest(collection=NAME, space=SPACE, values=[1.0] * 16)
    missing = await refusal(agent.SearchVectors(search))
    assert missing.code == grpc.StatusCode.NOT_FOUND
    assert missing.reason == "COLLECTION_NOT_FOUND"
    assert missing.metadata == {"collection": NAME}
    await filled(agent, 10)
    search.space.version = "2"
    other = await refusal(agent.SearchVectors(search))
    assert other.reason == "SPACE_MISMATCH"
    assert other.metadata["expected"] == "hashing 1, 16 numbers"
    differing = pb.CreateCollectionRequest(
        collection_id="texts", space=SPACE, metric=nouns.VECTOR_METRIC_L2
    )
    assert (await refusal(agent.CreateCollection(differing))).reason == "COLLECTION_DIFFERS"
    write = pb.UpsertVectorsRequest(collection=NAME, space=SPACE)
    write.points.add(id="a", values=[0.0] * 16)
    assert (await refusal(agent.UpsertVectors(write))).reason == "VECTOR_INVALID"
    write.points.extend(points(1000))
    assert (await refusal(agent.UpsertVectors(write))).reason == "INVALID_REQUEST"
    large = EmbeddingSpace(model="m", dimension=DIMENSION_MAX + 1)
    making = pb.CreateCollectionRequest(collection_id="large", space=large)
    assert (await refusal(agent.CreateCollection(making))).reason == "VECTOR_INVALID"


async def test_more_than_the_memory_allows_is_refused(agent: Any) -> None:
    """What was there stays, and answers."""
    await filled(agent, 1000)
    for turn in range(4):
        more = [nouns.VectorPoint(id=f"{turn}-{one.id}", values=one.values) for one in points(1000)]
        write = pb.UpsertVectorsRequest(collection=NAME, space=SPACE, points=more)
        try:
            await agent.UpsertVectors(write)
        except grpc.aio.AioRpcError as error:
            told = failure_of(error)
            break
    else:
        pytest.fail("it takes any number of vectors")
    assert told.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert told.reason == "COLLECTION_FULL"
    asked = pb.SearchVectorsRequest(collection=NAME, space=SPACE, values=more[0].values)
    assert len((await agent.SearchVectors(asked)).hits) == 10


async def test_what_is_about_a_subject_is_exported_and_deleted(agent: Any) -> None:
    """However its name is written, and nothing else; a whole namespace with its collections."""
    await filled(agent, 20, "Ada")
    await filled(agent, 5, "Grace")
    export = subjects.ExportSubjectRequest(subject="ADA")
    records = [one async for part in agent.ExportSubject(export) for one in part.records]
    assert len({one.name for one in records}) == 20
    first = nouns.VectorPoint.FromString(records[0].message)
    assert first.labels[0].texts.texts == ["Ada"]
    deleted = await agent.DeleteSubject(subjects.DeleteSubjectRequest(subject="ada"))
    assert deleted.deleted == 20
    counting = pb.CountVectorsRequest(collection=NAME)
    assert (await agent.CountVectors(counting)).points == 5
    deleted = await agent.DeleteSubject(subjects.DeleteSubjectRequest(whole_namespace=True))
    assert deleted.deleted == 5
    listed = await agent.ListCollections(pb.ListCollectionsRequest())
    assert not listed.collections


async def test_what_mentions_a_subject_in_a_label_goes_where_mentions_are_meant(
    agent: Any,
) -> None:
    """A vector's labels are its text: its words stand there though its `subjects` name nobody."""
    await filled(agent, 2, "Grace")
    said = Label(key="title", texts=TextSet(texts=["Notes", "What ADA  lovelace wrote"]))
    other = Label(key="title", texts=TextSet(texts=["Ada Lovelacean"]))
    told = [
        nouns.VectorPoint(id=key, values=[1.0] * 16, labels=[label])
        for key, label in (("said", said), ("other", other))
    ]
    await agent.UpsertVectors(pb.UpsertVectorsRequest(collection=NAME, space=SPACE, points=told))
    asked = subjects.ExportSubjectRequest(subject="Ada Lovelace")
    assert not [one async for part in agent.ExportSubject(asked) for one in part.records]
    asked.mentions = True
    names = [one.name async for part in agent.ExportSubject(asked) for one in part.records]
    assert names == [f"{NAME}/vectors/said"]
    request = subjects.DeleteSubjectRequest(subject="Ada Lovelace", mentions=True)
    assert (await agent.DeleteSubject(request)).deleted == 1
    found = await agent.ListVectors(pb.ListVectorsRequest(collection=NAME))
    assert [one.id for one in found.points] == ["Gracep0", "Gracep1", "other"]


async def test_vectors_survive_a_restart(tmp_path: Path) -> None:
    """With the default settings."""
    async with serving(AGENT, state_dir=tmp_path) as channel:
        await filled(rpc.VectorStoreServiceStub(channel), 50)
    async with serving(AGENT, state_dir=tmp_path) as channel:
        agent: Any = rpc.VectorStoreServiceStub(channel)
        asked = pb.SearchVectorsRequest(collection=NAME, space=SPACE, values=points(8)[7].values)
        assert (await agent.SearchVectors(asked)).hits[0].id == "p7"


async def test_an_export_of_large_labels_fits_into_its_messages(agent: Any) -> None:
    """A hundred records of whatever size were more than a message may have, so none could be."""
    await agent.CreateCollection(pb.CreateCollectionRequest(collection_id="texts", space=SPACE))
    texts = TextSet(texts=[f"{number:03}" + "x" * 250 for number in range(250)])
    large = [Label(key=f"k{number}", texts=texts) for number in range(8)]
    for one in "abcdefghij":
        point = nouns.VectorPoint(id=one, values=[1.0] * 16, labels=large)
        await agent.UpsertVectors(
            pb.UpsertVectorsRequest(collection=NAME, space=SPACE, points=[point])
        )
    told: list[str] = []
    async for part in agent.ExportSubject(subjects.ExportSubjectRequest(whole_namespace=True)):
        assert part.ByteSize() < 1_100_000
        told += [one.name.rpartition("/")[2] for one in part.records]
    assert sorted(told) == list("abcdefghij")


def test_numpy_comes_after_its_host_has_settled_its_threads() -> None:
    """OpenBLAS reads once how many it may have: a host says so after it has imported its agents."""
    script = f"import sys, {store.__name__}, {federation.__name__}\nprint('numpy' in sys.modules)"
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    argv = (sys.executable, "-c", script)
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
