"""Answers that a language model writes: passed on as far as they stand on what is stored."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.memory.answer.agent import AGENT
from services.memory.context_assembler.agent import AGENT as ASSEMBLER
from tandem.memory.config.v1 import answer_pb2 as cfg
from tandem.memory.v1 import answer_service_pb2 as pb
from tandem.memory.v1 import answer_service_pb2_grpc as rpc
from tandem.memory.v1 import citation_pb2 as citations
from tandem.memory.v1 import knowledge_base_service_pb2 as knowledge
from tandem.memory.v1 import memory_orchestrator_service_pb2 as memory
from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_service_pb2 as models
from tandemkit.testing.agents import fake_agent, serving
from tests.unit.services.memory.answer.test_agent import PASSAGE, find_memory, find_passage

CODE = grpc.StatusCode
QUESTION = "How is a leak of the pump closed?"


@dataclass
class Scribe:
    """tandem.models.v1.ModelService: it says what a test has it say, or fails with the status."""

    said: str = ""
    status: grpc.StatusCode | None = None
    asked: list[models.ChatRequest] = field(default_factory=list)
    is_slow: bool = False
    is_generative: bool = True

    async def chat(self, request: models.ChatRequest, context: Any) -> models.ChatResponse:
        self.asked.append(request)
        if self.is_slow:
            await asyncio.Event().wait()
        if self.status is not None:
            await context.abort(self.status, "the key is denied")
        made = models.ChatResponse()
        made.message.role, made.message.content = chat.CHAT_ROLE_ASSISTANT, self.said
        made.answerer.backend, made.answerer.model = "desk", "scribe"
        made.answerer.is_generative = self.is_generative
        return made


async def answered(
    scribe: Scribe, folder: Path, within_s: float | None = None
) -> pb.AnswerQuestionResponse:
    beside = (
        ASSEMBLER,
        fake_agent(knowledge.DESCRIPTOR, SearchKnowledge=find_passage),
        fake_agent(memory.DESCRIPTOR, SearchMemories=find_memory),
        fake_agent(models.DESCRIPTOR, Chat=scribe.chat),
    )
    settings = cfg.AnswerSettings(writer=cfg.WriterSettings(model="default"))
    async with serving(AGENT, settings=settings, beside=beside, state_dir=folder) as channel:
        stub: Any = rpc.AnswerServiceStub(channel)
        answer: pb.AnswerQuestionResponse
        request = pb.AnswerQuestionRequest(question=QUESTION)
        answer = await stub.AnswerQuestion(request, timeout=within_s)
        return answer


async def test_a_written_answer_cites_what_is_stored(tmp_path: Path) -> None:
    """A mark of a text that there is not is taken out, and the model is named."""
    scribe = Scribe("It is closed with wax [1]. So they say [9].")
    answer = await answered(scribe, tmp_path)
    assert answer.answer == "It is closed with wax [1]. So they say."
    assert (answer.kind, answer.model) == (citations.ANSWER_KIND_GENERATED, "desk/scribe")
    (one,) = answer.citations
    assert (one.number, one.quote in PASSAGE) == (1, True)
    (asked,) = scribe.asked
    assert PASSAGE in asked.messages[-1].content
    assert (asked.model, asked.sampling.tokens_max) == ("default", 512)
    assert asked.sampling.HasField("temperature")


async def test_a_model_may_say_that_nothing_answers(tmp_path: Path) -> None:
    """That is no failure of it."""
    answer = await answered(Scribe("NOT ANSWERED"), tmp_path)
    assert (answer.is_answered, answer.kind) == (False, citations.ANSWER_KIND_GENERATED)
    assert pb.ANSWER_LACK_MODEL_FAILED not in {one.lack for one in answer.shortfalls}


@pytest.mark.parametrize(
    ("scribe", "cause"),
    [
        (Scribe("Wax, as everybody knows."), "cites none"),
        (Scribe("Wax [1].", CODE.FAILED_PRECONDITION), "the key is denied"),
        (Scribe("Wax [1].", is_generative=False), "no language model"),
    ],
    ids=["bare", "denied", "quotes"],
)
async def test_what_cites_nothing_stored_gives_way_to_quotes(
    scribe: Scribe, cause: str, tmp_path: Path
) -> None:
    """And so do a model that fails, and what stands in for one: the answer says which it is."""
    answer = await answered(scribe, tmp_path)
    assert answer.is_answered
    assert answer.kind == citations.ANSWER_KIND_EXTRACTIVE
    assert answer.citations[0].quote in PASSAGE
    causes = {one.lack: one.cause for one in answer.shortfalls}
    assert cause in causes[pb.ANSWER_LACK_MODEL_FAILED]


async def test_a_slow_model_gives_way_to_quotes_within_the_callers_time(tmp_path: Path) -> None:
    """Its own 20 s may be more than the caller has."""
    answer = await answered(Scribe(is_slow=True), tmp_path, within_s=4.0)
    assert answer.is_answered
    assert answer.kind == citations.ANSWER_KIND_EXTRACTIVE
    assert pb.ANSWER_LACK_MODEL_FAILED in {one.lack for one in answer.shortfalls}
