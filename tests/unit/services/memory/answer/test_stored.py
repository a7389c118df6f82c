"""Catalogue row M054: answers from real documents and memories, before and behind a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.memory.answer.agent import AGENT
from services.memory.context_assembler.agent import AGENT as ASSEMBLER
from services.memory.knowledge_base.agent import AGENT as KNOWLEDGE
from services.memory.memory_orchestrator.agent import AGENT as MEMORY
from tandem.memory.v1 import answer_service_pb2 as pb
from tandem.memory.v1 import answer_service_pb2_grpc as rpc
from tandem.memory.v1 import citation_pb2 as citations
from tandem.memory.v1 import knowledge_base_service_pb2 as knowledge
from tandem.memory.v1 import knowledge_base_service_pb2_grpc as knowledge_rpc
from tandem.memory.v1 import memory_orchestrator_service_pb2 as memory
from tandem.memory.v1 import memory_orchestrator_service_pb2_grpc as memory_rpc
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.testing.agents import serving

PAGE = """# The heron mill

The mill is driven by a wheel of oak. Its sluice is opened with the red lever.

## Repairs

When the wheel creaks, its axle is greased with tallow from the third shelf.
"""
TOLD = "Ada greased the axle of the wheel on the fourth of May."


@dataclass(frozen=True, slots=True)
class Fleet:
    """The agent, and those that keep what it answers from."""

    answers: Any
    documents: Any
    memories: Any

    async def texts(self, cited: citations.Citation) -> str:
        """What stands where the citation says."""
        span = slice(cited.span.start_char, cited.span.end_char)
        if "/memories/" in cited.name:
            found = await self.memories.GetMemory(memory.GetMemoryRequest(name=cited.name))
            return str(found.memory.text)[span]
        name = cited.name.partition("/passages/")[0]
        document = await self.documents.GetDocument(knowledge.GetDocumentRequest(name=name))
        return str(document.text)[span]


@asynccontextmanager
async def living(folder: Path) -> AsyncIterator[Fleet]:
    beside = (ASSEMBLER, KNOWLEDGE, MEMORY)
    async with serving(AGENT, beside=beside, state_dir=folder) as channel:
        yield Fleet(
            rpc.AnswerServiceStub(channel),
            knowledge_rpc.KnowledgeBaseServiceStub(channel),
            memory_rpc.MemoryOrchestratorServiceStub(channel),
        )


async def test_m054_memory_survives_a_restart_and_every_answer_cites_what_is_stored(
    tmp_path: Path,
) -> None:
    """What was ingested and told in an earlier life is quoted in the next, from where it stands."""
    async with living(tmp_path) as fleet:
        page = knowledge.InlineDocument(
            document_id="mill", uri="mill.md", media_type="text/markdown", content=PAGE.encode()
        )
        inline = knowledge.InlineDocuments(documents=[page])
        async for _ in fleet.documents.IngestDocuments(
            knowledge.IngestDocumentsRequest(ingest_id="one", documents=inline)
        ):
            """Until it is over."""
        said = memory.AddMemoryRequest(memory_id="may", memory=nouns.Memory(text=TOLD))
        await fleet.memories.AddMemory(said)
    async with living(tmp_path) as fleet:
        for question, expected in (
            ("What is the axle of the wheel greased with?", "tallow"),
            ("How is the sluice opened?", "red lever"),
            ("When did Ada grease the axle?", "fourth of May"),
        ):
            answer = await fleet.answers.AnswerQuestion(pb.AnswerQuestionRequest(question=question))
            assert answer.is_answered
            assert expected in answer.answer
            assert answer.citations
            for one in answer.citations:
                assert await fleet.texts(one) == one.quote
