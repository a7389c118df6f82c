"""Requests for a language model: as it says it, and by whoever stands in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.memory.session_memory.agent import AGENT as SESSIONS
from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandem.models.v1 import chat_pb2 as chat
from tests.unit.services.language.request_coordinator.asking import (
    SAID,
    TEXT,
    Beside,
    coordinating,
    events,
)

MODELS = "tandem.models.v1.ModelService"


@pytest.fixture
def beside() -> Beside:
    return Beside()


def _request(**more: Any) -> pb.StreamAskRequest:
    return pb.StreamAskRequest(text="Praise pumps.", route=nouns.ROUTE_CHAT, **more)


async def test_a_language_model_is_heard_word_by_word(tmp_path: Path, beside: Beside) -> None:
    """And named, with the backend that it is at."""
    history = [
        pb.Turn(speaker=pb.SPEAKER_USER, text="Hello."),
        pb.Turn(speaker=pb.SPEAKER_ASSISTANT, text="Hello!"),
    ]
    async with coordinating(tmp_path, beside) as agent:
        told = await events(agent.StreamAsk(_request(history=history, model="parrot/grey")))
    words = [one.piece.text for one in told if one.WhichOneof("event") == "piece"]
    assert "".join(words) == told[-1].finished.answer == SAID
    assert len(words) == len(SAID.split())
    wanted = nouns.Answerer(service=MODELS, backend="parrot", model="grey", is_generative=True)
    assert told[-1].finished.answerer == wanted
    (asked,) = beside.conversations
    assert asked.model == "parrot/grey"
    assert [one.content for one in asked.messages] == ["Hello.", "Hello!", "Praise pumps."]
    assert asked.messages[1].role == chat.CHAT_ROLE_ASSISTANT


async def test_documents_stand_in_for_models_that_are_away(tmp_path: Path, beside: Beside) -> None:
    """And say that they do."""
    beside.model = beside.say_nothing
    async with coordinating(tmp_path, beside) as agent:
        told = await events(agent.StreamAsk(_request()))
    finished = told[-1].finished
    assert TEXT in finished.answer
    assert (finished.answerer.backend, finished.answerer.is_fallback) == ("extractive", True)
    assert finished.shortfalls[0].service == MODELS


async def test_an_answer_that_broke_off_is_a_partial_one(tmp_path: Path, beside: Beside) -> None:
    """What came stays, and who broke it off is named; nothing else is mixed into it."""
    beside.model = beside.break_off
    async with coordinating(tmp_path, beside) as agent:
        told = await events(agent.StreamAsk(_request()))
    finished = told[-1].finished
    assert finished.answer == "Half of"
    assert (finished.shortfalls[0].service, finished.shortfalls[0].code) == (MODELS, "ABORTED")


async def test_nobody_sees_that_the_models_host_died(tmp_path: Path, beside: Beside) -> None:
    """The stream goes on where it broke, without a gap or a word twice."""
    beside.model = beside.stumble
    async with coordinating(tmp_path, beside) as agent:
        told = await events(agent.StreamAsk(_request()))
    assert told[-1].finished.answer == "".join(one.piece.text for one in told) == SAID
    assert not told[-1].finished.shortfalls
    assert len(beside.conversations) > 1
    assert len({one.sampling.seed for one in beside.conversations}) == 1


async def test_quotes_of_nothing_are_no_answer(tmp_path: Path, beside: Beside) -> None:
    """Where no model is configured, what stands in for one says so in words: they are not passed
    off as an answer.
    """
    beside.model = beside.quote_nothing
    async with coordinating(tmp_path, beside) as agent:
        told = await events(agent.StreamAsk(_request()))
    assert [one.WhichOneof("event") for one in told] == ["started", "finished"]
    assert not told[-1].finished.is_answered


@pytest.mark.parametrize("greeting", ["hello", "Hi there!", "Good morning."])
async def test_who_greets_quotes_is_told_what_there_is(
    tmp_path: Path, beside: Beside, greeting: str
) -> None:
    """A word like that stands on pages that nobody meant; a language model greets by itself."""
    async with coordinating(tmp_path, beside) as agent:
        request = pb.AskRequest(text=greeting, route=nouns.ROUTE_CHAT)
        assert (await agent.Ask(request)).answer == SAID
        beside.model = beside.quote_nothing
        told = await agent.Ask(request)
    assert TEXT in told.answer
    assert told.answerer.is_fallback
    assert [one.question for one in beside.asked] == ["What can you do?"]


async def test_a_conversation_is_kept_and_gone_on_with(tmp_path: Path, beside: Beside) -> None:
    """By the agent of sessions, once for each request; without it the answer says what it lacks."""
    session = "namespaces/default/sessions/one"
    request = _request(session=session, correlation_id="req-1")
    async with coordinating(tmp_path, beside, SESSIONS) as agent:
        for _ in range(2):
            await events(agent.StreamAsk(request))
        told = await events(agent.StreamAsk(_request(session=session)))
    assert not told[-1].finished.shortfalls
    before = [one.content for one in beside.conversations[-1].messages]
    assert before == ["Praise pumps.", SAID, "Praise pumps."]
    async with coordinating(tmp_path, beside) as agent:
        alone = await events(agent.StreamAsk(request))
    assert alone[-1].finished.answer == SAID
    assert {one.service for one in alone[-1].finished.shortfalls} == {
        "tandem.memory.v1.SessionMemoryService"
    }
