"""What documents say, written by a language model: with marks that hold, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tests.unit.services.language.request_coordinator.asking import (
    TEXT,
    Beside,
    Stream,
    coordinating,
    events,
)

MODELS = "tandem.models.v1.ModelService"
QUOTES = f"{TEXT} [1]\n\nThe wax is in the blue cupboard. [2]"


@pytest.fixture
def beside() -> Beside:
    found = Beside()
    found.writes, found.memories = True, found.recall
    return found


async def _told(folder: Path, beside: Beside) -> list[pb.StreamAskResponse]:
    request = pb.StreamAskRequest(
        text="How is a leak of the pump closed?", route=nouns.ROUTE_KNOWLEDGE
    )
    async with coordinating(folder, beside) as agent:
        return await events(agent.StreamAsk(request))


async def test_a_written_answer_stands_on_what_was_found(tmp_path: Path, beside: Beside) -> None:
    """It comes word by word, names the sources that it uses, and none that there is not."""
    beside.said = "A leak is closed with wax [7], from the cupboard [2]."
    told = await _told(tmp_path, beside)
    finished = told[-1].finished
    assert finished.answer == "A leak is closed with wax, from the cupboard [2]."
    assert "".join(one.piece.text for one in told) == finished.answer
    assert sum(one.WhichOneof("event") == "piece" for one in told) > 3
    assert [one.number for one in finished.citations] == [2]
    assert finished.answerer.is_generative
    (asked,) = beside.conversations
    assert TEXT in asked.messages[-1].content
    assert "blue cupboard" in asked.messages[-1].content


async def test_a_model_that_finds_no_answer_is_believed(tmp_path: Path, beside: Beside) -> None:
    """Its verdict is not shown as an answer."""
    beside.said = "NOT ANSWERED"
    told = await _told(tmp_path, beside)
    assert [one.WhichOneof("event") for one in told] == ["started", "finished"]
    assert not told[-1].finished.is_answered


async def test_what_nothing_vouches_for_is_said_to_be_so(tmp_path: Path, beside: Beside) -> None:
    """An answer without a mark is shown, and that it has none."""
    beside.said = "Just use wax."
    finished = (await _told(tmp_path, beside))[-1].finished
    assert finished.answer == "Just use wax."
    assert [one.service for one in finished.shortfalls] == [MODELS]
    assert not finished.citations


@pytest.mark.parametrize("fails", ["say_nothing", "quote_nothing"])
async def test_quotes_stand_in_for_who_does_not_write(
    tmp_path: Path, beside: Beside, fails: str
) -> None:
    """Where the model is away, or somebody else answers in its place."""
    stream: Stream = getattr(beside, fails)
    beside.model = stream
    finished = (await _told(tmp_path, beside))[-1].finished
    assert finished.answer == QUOTES
    assert (finished.answerer.backend, finished.answerer.is_fallback) == ("extractive", True)
    assert [one.number for one in finished.citations] == [1, 2]
