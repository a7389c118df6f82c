"""A knowledge base on disk, beside an embedder that counts hashes of words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from services.memory.knowledge_base.agent import AGENT
from tandem.memory.config.v1 import knowledge_base_pb2 as cfg
from tandem.memory.v1 import embedding_pb2 as nouns
from tandem.memory.v1 import embedding_service_pb2 as embedding
from tandem.memory.v1 import errors_pb2 as errors
from tandem.memory.v1 import ingest_pb2 as ingests
from tandem.memory.v1 import knowledge_base_service_pb2 as pb
from tandem.memory.v1 import knowledge_base_service_pb2_grpc as rpc
from tandemkit.core.errors import TransientError
from tandemkit.ml.embedding.hashing import HashingEmbedder
from tandemkit.ml.embedding.protocol import Lane
from tandemkit.testing.agents import fake_agent, serving


class Embedder:
    """Deterministic. Counts what it embeds, and is away while it is told to be."""

    def __init__(self) -> None:
        self.is_away = False
        self.texts: list[str] = []
        self.keeps: set[int] = set()
        self.model = HashingEmbedder("hashing", 128)

    async def embed(self, request: embedding.EmbedTextsRequest, _context: Any) -> Any:
        if self.is_away:
            reason = errors.ERROR_REASON_EMBEDDER_UNREACHABLE
            raise TransientError(reason, "away", retry_after_s=60.0)
        if request.purpose != embedding.EMBEDDING_PURPOSE_QUERY:
            self.texts += request.texts
            self.keeps.add(request.keep)
        found = await self.model.embed(request.texts, Lane.BULK)
        space = self.model.space
        return embedding.EmbedTextsResponse(
            space=nouns.EmbeddingSpace(
                model=space.model, version=space.version, dimension=space.dimension
            ),
            embeddings=[nouns.Embedding(values=one.vector) for one in found],
            tokens=[one.tokens for one in found],
            is_truncated=[one.is_truncated for one in found],
        )


class Asking:
    """What tests ask of one."""

    def __init__(self, stub: rpc.KnowledgeBaseServiceAsyncStub) -> None:
        self.stub = stub

    async def ingest(self, documents: Iterable[pb.InlineDocument], **said: Any) -> ingests.Ingest:
        """To its end."""
        inline = pb.InlineDocuments(documents=documents)
        return await last(
            self.stub.IngestDocuments(pb.IngestDocumentsRequest(documents=inline, **said))
        )

    async def folder(self, path: Path, *patterns: str, **said: Any) -> ingests.Ingest:
        """To its end."""
        folder = pb.DocumentFolder(path=str(path), patterns=patterns)
        return await last(
            self.stub.IngestDocuments(pb.IngestDocumentsRequest(folder=folder, **said))
        )

    async def search(self, query: str, **said: Any) -> pb.SearchKnowledgeResponse:
        return await self.stub.SearchKnowledge(pb.SearchKnowledgeRequest(query=query, **said))

    async def embedded(self, namespace: str = "") -> None:
        """Returns when no passage waits for its vector."""
        async with asyncio.timeout(20):
            while (await self.documents(namespace)).pending:
                pass

    async def documents(self, namespace: str = "") -> pb.ListDocumentsResponse:
        return await self.stub.ListDocuments(
            pb.ListDocumentsRequest(namespace=namespace, page_size=1000)
        )

    async def text(self, name: str) -> str:
        return (await self.stub.GetDocument(pb.GetDocumentRequest(name=name))).text

    async def check_spans(self, found: pb.SearchKnowledgeResponse) -> None:
        """Every hit says exactly what stands in its place."""
        for hit in found.hits:
            span, text = hit.passage.span, await self.text(hit.passage.document)
            assert text[span.start_char : span.end_char] == hit.passage.text


@asynccontextmanager
async def knowledge_base(
    folder: Path, embedder: Embedder | None = None, **settings: Any
) -> AsyncIterator[Asking]:
    """The same folder again is a restart. Without the platform's own documents."""
    fake = fake_agent(embedding.DESCRIPTOR, EmbedTexts=(embedder or Embedder()).embed)
    said = cfg.KnowledgeBaseSettings(**{"without_own_documents": True, **settings})
    async with serving(AGENT, settings=said, beside=(fake,), state_dir=folder) as channel:
        stub: Any = rpc.KnowledgeBaseServiceStub(channel)
        yield Asking(stub)


def inline(text: str, document_id: str = "", **said: Any) -> pb.InlineDocument:
    said.setdefault("media_type", "text/markdown")
    return pb.InlineDocument(document_id=document_id, content=text.encode(), **said)


async def last(told: Any) -> ingests.Ingest:
    """How it ended."""
    found = ingests.Ingest()
    async for one in told:
        found = one.ingest
    return found


def holding(folder: Path, word: bytes) -> list[Path]:
    """Files that have a word in them, in any case."""
    return [
        path for path in folder.rglob("*") if path.is_file() and word in path.read_bytes().lower()
    ]
