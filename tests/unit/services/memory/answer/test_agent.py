"""tandem.memory.v1.AnswerService, over the wire, with sources that say what a test has them say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.memory.answer.agent import AGENT
from services.memory.context_assembler.agent import AGENT as ASSEMBLER
from tandem.memory.v1 import answer_service_pb2 as pb
from tandem.memory.v1 import answer_service_pb2_grpc as rpc
from tandem.memory.v1 import citation_pb2 as citations
from tandem.memory.v1 import degradation_pb2 as degradation
from tandem.memory.v1 import knowledge_base_service_pb2 as knowledge
from tandem.memory.v1 import memory_orchestrator_service_pb2 as memory
from tandemkit.testing.agents import fake_agent, serving
from tandemkit.testing.failures import failure_of

DOCUMENT = "# Pumps\n\nA pump is primed with water. A leak of the pump is closed with wax.\n"
PASSAGE = "A pump is primed with water. A leak of the pump is closed with wax."
REMEMBERED = "Ada said that the wax for the pump is kept in the blue cupboard."


async def find_passage(
    _request: knowledge.SearchKnowledgeRequest, _context: Any
) -> knowledge.SearchKnowledgeResponse:
    answer = knowledge.SearchKnowledgeResponse(degraded=[degradation.DEGRADATION_LEXICAL_ONLY])
    name = "namespaces/default/documents/pumps"
    start = DOCUMENT.index(PASSAGE)
    hit = answer.hits.add(score=0.5, lexical_rank=1)
    hit.passage.name, hit.passage.document = f"{name}/passages/1", name
    hit.passage.text, hit.passage.uri, hit.passage.title = PASSAGE, "pumps.md", "Pumps"
    hit.passage.span.start_char, hit.passage.span.end_char = start, start + len(PASSAGE)
    return answer


async def find_memory(
    _request: memory.SearchMemoriesRequest, _context: Any
) -> memory.SearchMemoriesResponse:
    answer = memory.SearchMemoriesResponse()
    found = answer.hits.add(score=0.5).memory
    found.name, found.text = "namespaces/default/memories/m1", REMEMBERED
    found.learned_at.FromSeconds(1_000_000)
    return answer


async def find_nothing(_request: Any, _context: Any) -> memory.SearchMemoriesResponse:
    return memory.SearchMemoriesResponse()


async def fail(_request: Any, context: Any) -> Any:
    await context.abort(grpc.StatusCode.UNAVAILABLE, "the store is away")


@asynccontextmanager
async def answering(
    folder: Path, search: Callable[[Any, Any], Any], recall: Callable[[Any, Any], Any]
) -> AsyncIterator[rpc.AnswerServiceAsyncStub]:
    beside = (
        ASSEMBLER,
        fake_agent(knowledge.DESCRIPTOR, SearchKnowledge=search),
        fake_agent(memory.DESCRIPTOR, SearchMemories=recall),
    )
    async with serving(AGENT, beside=beside, state_dir=folder) as channel:
        yield rpc.AnswerServiceStub(channel)


def question(text: str, *sources: pb.AnswerSource.ValueType) -> pb.AnswerQuestionRequest:
    return pb.AnswerQuestionRequest(question=text, sources=sources)


async def test_an_answer_quotes_what_stands_where_its_citations_say(tmp_path: Path) -> None:
    """Of a document in its own text, of a memory in that."""
    texts = {
        "namespaces/default/documents/pumps/passages/1": DOCUMENT,
        "namespaces/default/memories/m1": REMEMBERED,
    }
    async with answering(tmp_path, find_passage, find_memory) as agent:
        answer = await agent.AnswerQuestion(question("Where is the wax for the pump kept?"))
    assert answer.is_answered
    assert "blue cupboard" in answer.answer
    assert (answer.kind, answer.model) == (citations.ANSWER_KIND_EXTRACTIVE, "")
    for one in answer.citations:
        assert f"[{one.number}]" in answer.answer
        assert texts[one.name][one.span.start_char : one.span.end_char] == one.quote


async def test_what_a_source_lacks_is_told(tmp_path: Path) -> None:
    """Whoever reads the answer knows what it was made without."""
    async with answering(tmp_path, find_passage, fail) as agent:
        answer = await agent.AnswerQuestion(question("How is a leak of the pump closed?"))
    assert answer.is_answered
    told = {(one.lack, one.source) for one in answer.shortfalls}
    assert told == {
        (pb.ANSWER_LACK_LEXICAL_ONLY, pb.ANSWER_SOURCE_KNOWLEDGE),
        (pb.ANSWER_LACK_SOURCE_UNREACHABLE, pb.ANSWER_SOURCE_MEMORY),
    }


async def test_no_source_is_another_answer_than_no_answer(tmp_path: Path) -> None:
    """Nothing found is said; nobody asked is a failure."""
    async with answering(tmp_path, fail, find_nothing) as agent:
        answer = await agent.AnswerQuestion(question("Where?", pb.ANSWER_SOURCE_MEMORY))
        assert not answer.is_answered
        assert not answer.citations
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await agent.AnswerQuestion(question("Where?", pb.ANSWER_SOURCE_KNOWLEDGE))
    failure = failure_of(caught.value)
    assert failure.code is grpc.StatusCode.UNAVAILABLE
    assert failure.reason == "SOURCES_UNREACHABLE"


async def test_a_question_that_nothing_stored_answers_is_not_answered(tmp_path: Path) -> None:
    """Whatever is nearest is no answer for that."""
    async with answering(tmp_path, find_passage, find_memory) as agent:
        answer = await agent.AnswerQuestion(question("Who wrote the opera about the Nile?"))
    assert (answer.is_answered, answer.answer) == (False, "")
