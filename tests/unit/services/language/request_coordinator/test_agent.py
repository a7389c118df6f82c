"""tandem.language.v1.RequestCoordinatorService, over the wire, with agents that say what a test
has them say.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import grpc
import pytest

from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandemkit.core.clock import stopwatch_s
from tandemkit.testing.failures import failure_of
from tests.unit.services.language.request_coordinator.asking import (
    AWAY_S,
    SAID,
    TEXT,
    Beside,
    away,
    coordinating,
    events,
    full,
    silent,
)

QUESTION = "How is a leak of the pump closed?"
DOCUMENTS = "tandem.memory.v1.KnowledgeBaseService"
MEMORIES = "tandem.memory.v1.AnswerService"


@pytest.fixture
def beside() -> Beside:
    return Beside()


async def test_an_answer_says_who_gave_it_and_on_what_it_stands(
    tmp_path: Path, beside: Beside
) -> None:
    """With the place of every quote, and the id that the request had on its way."""
    async with coordinating(tmp_path, beside) as agent:
        answer = await agent.Ask(pb.AskRequest(text=QUESTION, correlation_id="req-1"))
    assert answer.is_answered
    assert answer.answerer == nouns.Answerer(service=DOCUMENTS, backend="extractive")
    (cited,) = answer.citations
    assert (cited.title, cited.quote, cited.uri) == ("Pumps", TEXT, "pumps.md")
    assert TEXT[cited.start_char : cited.end_char] == cited.quote
    assert answer.correlation_id == "req-1"
    assert beside.metadata[0]["x-tandem-correlation-id"] == "req-1"


async def test_a_correlation_id_is_made_where_none_is_given(tmp_path: Path, beside: Beside) -> None:
    """A new one each time, and one in the call's metadata is taken."""
    async with coordinating(tmp_path, beside) as agent:
        made = [(await agent.Ask(pb.AskRequest(text=QUESTION))).correlation_id for _ in range(2)]
        header = (("x-tandem-correlation-id", "req-2"),)
        taken = await agent.Ask(pb.AskRequest(text=QUESTION), metadata=header)
    assert all(made)
    assert len(set(made)) == len(made)
    assert taken.correlation_id == "req-2"


async def test_a_correlation_id_finds_every_line_of_a_request(
    tmp_path: Path, beside: Beside, caplog: pytest.LogCaptureFixture
) -> None:
    """The agent's own, and those of calls that it led to; what is no id is not taken for one."""
    beside.memories = away
    header = (("x-tandem-correlation-id", "req 3; drop"),)
    with caplog.at_level(logging.INFO):
        async with coordinating(tmp_path, beside) as agent:
            await agent.Ask(pb.AskRequest(text=QUESTION, correlation_id="req-3"))
            made = await agent.Ask(pb.AskRequest(text=QUESTION), metadata=header)
    lines = [getattr(one, "tandem_fields", {}) | {"event": one.message} for one in caplog.records]
    told = {one["event"] for one in lines if one.get("correlation_id") == "req-3"}
    assert told >= {"ask.answered", "rpc.failed"}
    assert made.correlation_id not in {"", "req 3; drop"}


async def test_who_does_not_answer_is_named_beside_what_others_say(
    tmp_path: Path, beside: Beside
) -> None:
    """A partial answer says that it is one, and why."""
    beside.memories = away
    async with coordinating(tmp_path, beside) as agent:
        answer = await agent.Ask(pb.AskRequest(text=QUESTION))
    assert answer.is_answered
    (missing,) = answer.shortfalls
    assert (missing.service, missing.code) == (MEMORIES, "UNAVAILABLE")
    assert missing.cause


async def test_nobody_who_answers_is_another_thing_than_no_answer(
    tmp_path: Path, beside: Beside
) -> None:
    """What nothing stored answers is said; where nobody could be asked the call fails."""
    beside.documents, beside.model = beside.find_no_passage, beside.say_nothing
    async with coordinating(tmp_path, beside) as agent:
        answer = await agent.Ask(pb.AskRequest(text=QUESTION))
        assert (answer.is_answered, answer.answer) == (False, "")
        beside.documents = beside.memories = away
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await agent.Ask(pb.AskRequest(text=QUESTION))
    failure = failure_of(caught.value)
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "NOBODY_ANSWERED")
    assert failure.retry_after_s == AWAY_S


async def test_m005_a_dead_downstream_never_hangs_a_caller_past_its_deadline(
    tmp_path: Path, beside: Beside
) -> None:
    """Who answers is heard in time; where nobody does, that is said before the deadline is over."""
    beside.memories = silent
    async with coordinating(tmp_path, beside) as agent:
        begun_s = stopwatch_s()
        answer = await agent.Ask(pb.AskRequest(text=QUESTION), timeout=1.0)
        assert stopwatch_s() - begun_s < 1.0
        assert answer.is_answered
        assert [one.code for one in answer.shortfalls] == ["DEADLINE_EXCEEDED"]
        beside.documents = silent
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await agent.Ask(pb.AskRequest(text=QUESTION), timeout=1.0)
    assert failure_of(caught.value).reason == "NOBODY_ANSWERED"


async def test_a_stream_tells_the_same_as_it_comes(tmp_path: Path, beside: Beside) -> None:
    """First where it goes, then who is missing and the text in pieces, and all of it at last."""
    beside.memories = away
    async with coordinating(tmp_path, beside) as agent:
        told = await events(agent.StreamAsk(pb.StreamAskRequest(text=QUESTION)))
    kinds = [one.WhichOneof("event") for one in told]
    assert (kinds[0], kinds[-1]) == ("started", "finished")
    assert set(kinds[1:-1]) == {"shortfall", "piece"}
    finished = told[-1].finished
    assert "".join(one.piece.text for one in told) == finished.answer
    assert told[0].started.correlation_id == finished.correlation_id
    assert kinds.count("piece") > 1


async def test_what_is_to_be_remembered_is_kept_and_told(tmp_path: Path, beside: Beside) -> None:
    """The same request with the same id is one memory."""
    beside.memories = beside.recall
    said = "Remember that the wax is in the blue cupboard."
    async with coordinating(tmp_path, beside) as agent:
        request = pb.AskRequest(text=said, correlation_id="a")
        kept = await agent.Ask(request)
        assert await agent.Ask(request)
        assert kept.routing.route == nouns.ROUTE_MEMORY
        asked = await agent.Ask(pb.AskRequest(text="What did I tell you about the wax?"))
    assert {one.memory.text for one in beside.kept} == {"the wax is in the blue cupboard."}
    assert len({one.memory_id for one in beside.kept}) == 1
    assert kept.citations[0].name == f"namespaces/default/memories/{beside.kept[0].memory_id}"
    assert asked.routing.route == nouns.ROUTE_MEMORY
    assert "blue cupboard" in asked.answer
    assert asked.answerer.service == MEMORIES


async def test_what_cannot_be_kept_is_refused_by_who_keeps_it(
    tmp_path: Path, beside: Beside
) -> None:
    """In its own words; it would be no better a moment later."""
    beside.keep = full
    async with coordinating(tmp_path, beside) as agent:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await agent.Ask(pb.AskRequest(text="Remember that the key is blue."))
    assert failure_of(caught.value).reason == "MEMORY_FULL"


async def test_how_the_fleet_is_is_told_by_control(tmp_path: Path, beside: Beside) -> None:
    """Of all agents, or of the one that the question names."""
    async with coordinating(tmp_path, beside) as agent:
        every = await agent.Ask(pb.AskRequest(text="Which agents are healthy?"))
        one = await agent.Ask(pb.AskRequest(text="Is tale-paint running?"))
    assert every.routing.route == one.routing.route == nouns.ROUTE_FLEET
    assert "1 of 2 agents serve" in every.answer
    assert "tale-paint" in every.answer
    assert one.answer == "tale-paint runs nowhere at present."


async def test_what_documents_do_not_know_a_language_model_is_asked(
    tmp_path: Path, beside: Beside
) -> None:
    """Where the route was a guess, and never where the caller named it."""
    beside.documents = beside.find_no_passage
    async with coordinating(tmp_path, beside) as agent:
        guessed = await agent.Ask(pb.AskRequest(text=QUESTION))
        named = await agent.Ask(pb.AskRequest(text=QUESTION, route=nouns.ROUTE_KNOWLEDGE))
    assert (guessed.answer, guessed.answerer.is_fallback) == (SAID, True)
    assert not named.is_answered


async def test_documents_and_memories_answer_together(tmp_path: Path, beside: Beside) -> None:
    """Cited by numbers that go on, each for what stands at its mark."""
    beside.memories = beside.recall
    async with coordinating(tmp_path, beside) as agent:
        answer = await agent.Ask(pb.AskRequest(text=QUESTION))
    assert answer.answer == f"{TEXT} [1]\n\nThe wax is in the blue cupboard. [2]"
    assert [(one.number, one.name.split("/")[2]) for one in answer.citations] == [
        (1, "documents"),
        (2, "memories"),
    ]


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("When is the pump primed?", "memories"),
        ("Who closes a leak?", "memories"),
        ("What is our wax for?", "memories"),
        ("How do I prime my pump?", "documents"),
        ("What closes a leak?", "documents"),
    ],
)
async def test_what_people_told_stands_first_where_it_is_theirs(
    tmp_path: Path, beside: Beside, question: str, first: str
) -> None:
    """A date that somebody had remembered is not looked for behind pages of documents."""
    beside.memories = beside.recall
    async with coordinating(tmp_path, beside) as agent:
        asked = pb.AskRequest(text=question, route=nouns.ROUTE_KNOWLEDGE)
        answer = await agent.Ask(asked)
    assert [one.number for one in answer.citations] == [1, 2]
    assert answer.citations[0].name.split("/")[2] == first
    assert answer.answer.index("[1]") < answer.answer.index("[2]")
    assert (answer.answerer.service == MEMORIES) == (first == "memories")


async def test_a_session_of_another_namespace_is_refused(tmp_path: Path, beside: Beside) -> None:
    """What one may read does not say where one may write."""
    request = pb.AskRequest(text=QUESTION, session="namespaces/team-a/sessions/one")
    async with coordinating(tmp_path, beside) as agent:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await agent.Ask(request)
    assert failure_of(caught.value).reason == "SESSION_ELSEWHERE"


async def test_a_refusal_leaves_nobody_working(tmp_path: Path) -> None:
    """What was asked beside it is cancelled when its caller is told that it may not ask."""
    beside, begun, left = Beside(), asyncio.Event(), asyncio.Event()

    async def search(_request: Any, _context: Any) -> Any:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    async def refuse(_request: Any, context: Any) -> Any:
        await begun.wait()
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not yours")

    beside.documents, beside.memories = search, refuse
    request = pb.AskRequest(text="What is a pump?", route=nouns.ROUTE_KNOWLEDGE)
    async with coordinating(tmp_path, beside) as coordinator, asyncio.timeout(5):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await coordinator.Ask(request)
        await left.wait()
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
