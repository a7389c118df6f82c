"""Answers about things that are long: a message has 4 MiB at most, however many were asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

from services.memory.knowledge_base.agent import AGENT as KNOWLEDGE_BASE
from services.memory.memory_orchestrator.agent import AGENT as ORCHESTRATOR
from services.memory.session_memory.agent import AGENT as SESSION_MEMORY
from services.memory.vector_store.agent import AGENT as VECTOR_STORE
from tandem.memory.config.v1.knowledge_base_pb2 import KnowledgeBaseSettings
from tandem.memory.config.v1.session_memory_pb2 import SessionMemorySettings
from tandem.memory.v1 import knowledge_base_service_pb2 as knowledge
from tandem.memory.v1 import knowledge_base_service_pb2_grpc as knowledge_rpc
from tandem.memory.v1 import memory_orchestrator_service_pb2 as memories
from tandem.memory.v1 import memory_orchestrator_service_pb2_grpc as memories_rpc
from tandem.memory.v1 import session_memory_service_pb2 as sessions
from tandem.memory.v1 import session_memory_service_pb2_grpc as sessions_rpc
from tandem.memory.v1 import vector_store_service_pb2 as vectors
from tandem.memory.v1 import vector_store_service_pb2_grpc as vectors_rpc
from tandem.memory.v1.embedding_pb2 import EmbeddingSpace
from tandem.memory.v1.label_filter_pb2 import Label, TextSet
from tandem.memory.v1.memory_pb2 import Fact, Memory
from tandem.memory.v1.vector_collection_pb2 import VectorPoint
from tandemkit.testing.agents import serving
from tests.unit.services.memory.session_memory.talk import SESSION, turn

_LONG: Final = Label(key="k", texts=TextSet(texts=[f"{n:03}{'x' * 250}" for n in range(250)]))


async def _paged(ask: Callable[[str], Any], field: str) -> AsyncIterator[Any]:
    """All that the pages have together."""
    token = ""
    while True:
        page = await ask(token)
        for one in getattr(page, field):
            yield one
        token = page.next_page_token
        if not token:
            return


async def test_facts_and_memories_that_are_long_come_in_more_pages(tmp_path: Path) -> None:
    """Each once; a search has fewer of them, the best."""
    async with serving(ORCHESTRATOR, state_dir=tmp_path) as channel:
        stub: Any = memories_rpc.MemoryOrchestratorServiceStub(channel)
        for number in range(80):
            fact = Fact(subject="Ann", predicate="said", object=f"{number}")
            memory = Memory(text=f"apple {number}", fact=fact, labels=[_LONG])
            await stub.AddMemory(memories.AddMemoryRequest(memory_id=f"{number:02}", memory=memory))

        def facts(token: str) -> Any:
            return stub.QueryFacts(
                memories.QueryFactsRequest(subject="Ann", page_size=500, page_token=token)
            )

        found = [one.name async for one in _paged(facts, "memories")]
        assert len(found) == len(set(found)) == 80
        asked = memories.SearchMemoriesRequest(query="apple", limit=100)
        assert 40 < len((await stub.SearchMemories(asked)).hits) < 80


async def test_documents_whose_labels_are_long_come_in_more_pages(tmp_path: Path) -> None:
    """Each once."""
    settings = KnowledgeBaseSettings(without_own_documents=True)
    async with serving(KNOWLEDGE_BASE, settings=settings, state_dir=tmp_path) as channel:
        stub: Any = knowledge_rpc.KnowledgeBaseServiceStub(channel)
        for start in (0, 40):
            inline = [
                knowledge.InlineDocument(document_id=f"{n:02}", content=b"Text.", labels=[_LONG])
                for n in range(start, start + 40)
            ]
            documents = knowledge.InlineDocuments(documents=inline)
            request = knowledge.IngestDocumentsRequest(documents=documents)
            assert [told async for told in stub.IngestDocuments(request)]

        def listed(token: str) -> Any:
            return stub.ListDocuments(
                knowledge.ListDocumentsRequest(page_size=1000, page_token=token)
            )

        found = [one.name async for one in _paged(listed, "documents")]
        assert found == [f"namespaces/default/documents/{number:02}" for number in range(80)]


async def test_hits_whose_labels_are_long_are_as_many_as_fit(tmp_path: Path) -> None:
    """The best ones."""
    space = EmbeddingSpace(model="m", version="1", dimension=2)
    name = "namespaces/default/collections/texts"
    async with serving(VECTOR_STORE, state_dir=tmp_path) as channel:
        stub: Any = vectors_rpc.VectorStoreServiceStub(channel)
        await stub.CreateCollection(
            vectors.CreateCollectionRequest(collection_id="texts", space=space)
        )
        ids = [f"{number:02}" for number in range(80)]
        for start in (0, 40):
            points = [
                VectorPoint(id=one, values=[1.0, float(one)], labels=[_LONG])
                for one in ids[start : start + 40]
            ]
            await stub.UpsertVectors(
                vectors.UpsertVectorsRequest(collection=name, space=space, points=points)
            )
        asked = vectors.SearchVectorsRequest(
            collection=name, space=space, values=[1.0, 0.0], limit=100
        )
        hits = (await stub.SearchVectors(asked)).hits
        assert [one.id for one in hits] == ids[: len(hits)]
        assert 40 < len(hits) < 80


async def test_turns_that_are_long_are_as_many_as_fit(tmp_path: Path) -> None:
    """Recalled or in a window."""
    settings = SessionMemorySettings(text_bytes_max=8 * 1024 * 1024)
    async with serving(SESSION_MEMORY, settings=settings, state_dir=tmp_path) as channel:
        stub: Any = sessions_rpc.SessionMemoryServiceStub(channel)
        said = "apple " + "pears " * 5400
        for number in range(150):
            await stub.AppendTurn(turn(number + 1, f"{said}{number}"))
        asked = sessions.RecallTurnsRequest(session=SESSION, query="apple", limit=100)
        assert 40 < len((await stub.RecallTurns(asked)).hits) <= 100
        window = sessions.GetWindowRequest(session=SESSION, tokens_max=1_000_000)
        assert len((await stub.GetWindow(window)).turns) > 40
