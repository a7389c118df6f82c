"""Answers that a language model writes: passed on as far as they stand on what is stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from services.memory.answer.agent import AGENT
from services.memory.context_assembler.agent import AGENT as ASSEMBLER
from tandem.memory.config.v1 import answer_pb2 as cfg
from tandem.memory.v1 import answer_service_pb2 as pb
from tandem.memory.v1 import answer_service_pb2_grpc as rpc
from tandem.memory.v1 import citation_pb2 as citations
from tandem.memory.v1 import knowledge_base_service_pb2 as knowledge
from tandem.memory.v1 import memory_orchestrator_service_pb2 as memory
from tandemkit.testing.agents import fake_agent, serving
from tests.unit.services.memory.answer.test_agent import PASSAGE, find_memory, find_passage

QUESTION = "How is a leak of the pump closed?"


@dataclass
class ChatServer:
    """After the published API: `POST /v1/chat/completions`. It says what a test has it say."""

    said: str = ""
    status: int = 200
    asked: list[dict[str, Any]] = field(default_factory=list)
    is_slow: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def complete(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        if self.is_slow:
            await self.over.wait()
        message = {"role": "assistant", "content": self.said}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return web.json_response({"choices": choices}, status=self.status)


@asynccontextmanager
async def listening(server: ChatServer) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.complete)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/v1"
    finally:
        server.over.set()
        await runner.cleanup()


async def answered(
    server: ChatServer, folder: Path, within_s: float | None = None
) -> pb.AnswerQuestionResponse:
    beside = (
        ASSEMBLER,
        fake_agent(knowledge.DESCRIPTOR, SearchKnowledge=find_passage),
        fake_agent(memory.DESCRIPTOR, SearchMemories=find_memory),
    )
    async with listening(server) as base_url:
        settings = cfg.AnswerSettings(writer=cfg.WriterSettings(base_url=base_url, model="scribe"))
        async with serving(AGENT, settings=settings, beside=beside, state_dir=folder) as channel:
            stub: Any = rpc.AnswerServiceStub(channel)
            answer: pb.AnswerQuestionResponse
            request = pb.AnswerQuestionRequest(question=QUESTION)
            answer = await stub.AnswerQuestion(request, timeout=within_s)
            return answer


async def test_a_written_answer_cites_what_is_stored(tmp_path: Path) -> None:
    """A mark of a text that there is not is taken out, and the model is named."""
    server = ChatServer("It is closed with wax [1]. So they say [9].")
    answer = await answered(server, tmp_path)
    assert answer.answer == "It is closed with wax [1]. So they say."
    assert (answer.kind, answer.model) == (citations.ANSWER_KIND_GENERATED, "scribe")
    (one,) = answer.citations
    assert (one.number, one.quote in PASSAGE) == (1, True)
    (asked,) = server.asked
    assert PASSAGE in asked["messages"][-1]["content"]


async def test_a_model_may_say_that_nothing_answers(tmp_path: Path) -> None:
    """That is no failure of it."""
    answer = await answered(ChatServer("NOT ANSWERED"), tmp_path)
    assert (answer.is_answered, answer.kind) == (False, citations.ANSWER_KIND_GENERATED)
    assert pb.ANSWER_LACK_MODEL_FAILED not in {one.lack for one in answer.shortfalls}


@pytest.mark.parametrize(
    ("said", "status"),
    [("Wax, as everybody knows.", 200), ("Wax [1].", 403)],
    ids=["bare", "denied"],
)
async def test_what_cites_nothing_stored_gives_way_to_quotes(
    said: str, status: int, tmp_path: Path
) -> None:
    """And so does a server that fails: the answer says which of the two it is."""
    answer = await answered(ChatServer(said, status), tmp_path)
    assert answer.is_answered
    assert answer.kind == citations.ANSWER_KIND_EXTRACTIVE
    assert answer.citations[0].quote in PASSAGE
    assert pb.ANSWER_LACK_MODEL_FAILED in {one.lack for one in answer.shortfalls}


async def test_a_slow_model_gives_way_to_quotes_within_the_callers_time(tmp_path: Path) -> None:
    """Its own 20 s may be more than the caller has."""
    answer = await answered(ChatServer(is_slow=True), tmp_path, within_s=4.0)
    assert answer.is_answered
    assert answer.kind == citations.ANSWER_KIND_EXTRACTIVE
    assert pb.ANSWER_LACK_MODEL_FAILED in {one.lack for one in answer.shortfalls}
