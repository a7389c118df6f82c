"""Catalogue row M051: dialogues, through a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.memory.session_memory.agent import AGENT
from tandem.memory.config.v1.session_memory_pb2 import SessionMemorySettings
from tandem.memory.v1 import session_memory_service_pb2 as pb
from tandem.memory.v1 import session_memory_service_pb2_grpc as rpc
from tandem.memory.v1 import subject_pb2 as subjects
from tandem.memory.v1.session_pb2 import Turn
from tandemkit.ml.text.tokens import estimated_tokens
from tandemkit.testing.agents import serving
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.failures import Failure, failure_of
from tests.cluster.eventually import eventually
from tests.unit.services.memory.session_memory.talk import SESSION, chatter, turn

FACT = "By the way, the spare key of my cottage lies under the blue flowerpot."
OTHER = "namespaces/default/sessions/two"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def agent(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Any]:
    settings = SessionMemorySettings(turns_max=128, sessions_max=3)
    async with serving(AGENT, settings=settings, state_dir=tmp_path, clock=clock) as channel:
        yield rpc.SessionMemoryServiceStub(channel)


async def refusal(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return failure_of(raised.value)


def holding(folder: Path, words: bytes) -> list[Path]:
    """Files that have these words."""
    files = (one for one in folder.rglob("*") if one.is_file())
    return [one for one in files if words in one.read_bytes()]


async def say(agent: Any, *texts: str, session: str = SESSION, start: int = 1) -> None:
    for number, text in enumerate(texts, start=start):
        await agent.AppendTurn(turn(number, text, session))


def texts_of(window: pb.GetWindowResponse) -> list[str]:
    return [window.summary, *(one.text for one in (*window.recalled, *window.turns))]


async def test_m051_a_long_dialogue_stays_under_budget_and_recalls_a_planted_fact(
    tmp_path: Path,
) -> None:
    """At every one of 400 steps, whatever the budget; and the fact of the third turn comes back
    when somebody asks for it, behind a restart too.
    """
    said = chatter(400)
    said[2] = FACT
    async with serving(AGENT, state_dir=tmp_path) as channel:
        agent: Any = rpc.SessionMemoryServiceStub(channel)
        for number, text in enumerate(said, start=1):
            await agent.AppendTurn(turn(number, text))
            budget = (64, 256, 1000)[number % 3]
            window = await agent.GetWindow(pb.GetWindowRequest(session=SESSION, tokens_max=budget))
            tokens = sum(map(estimated_tokens, texts_of(window)))
            assert tokens == window.tokens <= budget
            assert text.startswith(window.turns[-1].text)
        window = await agent.GetWindow(pb.GetWindowRequest(session=SESSION, tokens_max=1000))
        assert window.summary
        assert window.session.turns == 400
        assert FACT not in [one.text for one in window.turns]
        question = "Where is the spare key of the cottage?"
        await agent.AppendTurn(turn(401, question))
    async with serving(AGENT, state_dir=tmp_path) as channel:
        agent = rpc.SessionMemoryServiceStub(channel)
        window = await agent.GetWindow(pb.GetWindowRequest(session=SESSION, tokens_max=500))
        assert FACT in [one.text for one in window.recalled]
        assert window.turns[-1].text == question
        assert [one.number for one in window.recalled] == sorted(
            one.number for one in window.recalled
        )
        asked = pb.RecallTurnsRequest(session=SESSION, query=question, limit=2)
        hits = (await agent.RecallTurns(asked)).hits
        assert [one.turn.number for one in hits] == [401, 3]


async def test_a_short_dialogue_is_there_in_full(agent: Any) -> None:
    """With nothing to summarise, and nothing to recall."""
    await say(agent, "Hello.", "Good morning.")
    window = await agent.GetWindow(pb.GetWindowRequest(session=SESSION))
    assert texts_of(window) == ["", "Hello.", "Good morning."]
    assert window.tokens == 6


async def test_a_turn_that_is_too_long_is_cut_and_says_so(agent: Any) -> None:
    """Where it stands alone; as it is kept it is whole."""
    await say(agent, "word " * 1000)
    window = await agent.GetWindow(pb.GetWindowRequest(session=SESSION, tokens_max=100))
    (only,) = window.turns
    assert only.is_cut
    assert window.tokens == only.tokens <= 100
    whole = await agent.GetWindow(pb.GetWindowRequest(session=SESSION))
    assert not whole.turns[0].is_cut
    assert whole.turns[0].tokens == 1000


async def test_two_who_append_at_once_are_both_there(agent: Any) -> None:
    """Their numbers are one order, which every reader sees."""
    calls = [agent.AppendTurn(turn(number, f"turn {number}")) for number in range(1, 41)]
    answers = await asyncio.gather(*calls)
    assert sorted(one.turn.number for one in answers) == list(range(1, 41))
    window = await agent.GetWindow(pb.GetWindowRequest(session=SESSION))
    by_number = {one.turn.number: one.turn.turn_id for one in answers}
    assert [one.turn_id for one in window.turns] == [by_number[one] for one in range(1, 41)]


async def test_a_turn_is_written_once_by_its_id(agent: Any) -> None:
    """Again is harmless, something else under the id is refused."""
    first = await agent.AppendTurn(turn(1, "Hello."))
    again = await agent.AppendTurn(turn(1, "Hello."))
    assert again.was_there
    assert again.turn == first.turn
    assert again.session.turns == 1
    assert (await refusal(agent.AppendTurn(turn(1, "Goodbye.")))).reason == "TURN_EXISTS"


async def test_the_oldest_turns_make_room_and_leave_what_was_central(agent: Any) -> None:
    """A chapter at a time, counted; the window goes on to have a summary."""
    await say(agent, *chatter(200))
    window = await agent.GetWindow(pb.GetWindowRequest(session=SESSION, tokens_max=400))
    session = window.session
    assert session.turns <= 128
    assert session.forgotten_turns == 200 - session.turns > 0
    assert session.last_number == 200
    assert window.summary
    assert (await agent.AppendTurn(turn(1, "said again"))).turn.number == 201


async def test_a_closed_session_is_read_and_takes_no_more(agent: Any) -> None:
    """Closed twice is closed."""
    await say(agent, "Hello.")
    for _ in range(2):
        answer = await agent.CloseSession(pb.CloseSessionRequest(session=SESSION))
        assert answer.session.is_closed
    assert (await refusal(agent.AppendTurn(turn(2, "More.")))).reason == "SESSION_CLOSED"
    assert (await agent.AppendTurn(turn(1, "Hello."))).was_there
    window = await agent.GetWindow(pb.GetWindowRequest(session=SESSION))
    assert texts_of(window) == ["", "Hello."]


async def test_a_session_is_over_after_its_time(agent: Any, clock: FakeClock) -> None:
    """Counted from its last turn; another one goes on."""
    request = turn(1, "Hello.")
    request.ttl.FromSeconds(60)
    await agent.AppendTurn(request)
    await say(agent, "I stay.", session=OTHER)
    await clock.advance(50)
    await agent.AppendTurn(turn(2, "Still there?"))
    await clock.advance(50)
    asked = pb.GetWindowRequest(session=SESSION)
    assert (await agent.GetWindow(asked)).session.turns == 2
    await clock.advance(11)

    async def names() -> list[str]:
        listed = await agent.ListSessions(pb.ListSessionsRequest())
        return [one.name for one in listed.sessions]

    await eventually(names, lambda found: found == [OTHER])
    assert (await refusal(agent.GetWindow(asked))).reason == "SESSION_NOT_FOUND"


async def test_what_is_left_of_a_sessions_time_outlives_a_restart(
    tmp_path: Path, clock: FakeClock
) -> None:
    """It does not begin anew."""
    request = turn(1, "Hello.")
    request.ttl.FromSeconds(60)
    async with serving(AGENT, state_dir=tmp_path, clock=clock) as channel:
        await rpc.SessionMemoryServiceStub(channel).AppendTurn(request)
        await clock.advance(40)
    async with serving(AGENT, state_dir=tmp_path, clock=clock) as channel:
        agent: Any = rpc.SessionMemoryServiceStub(channel)
        assert (await agent.ListSessions(pb.ListSessionsRequest())).sessions
        await clock.advance(21)
        await eventually(
            lambda: agent.ListSessions(pb.ListSessionsRequest()), lambda found: not found.sessions
        )


async def test_more_sessions_than_allowed_are_refused(agent: Any) -> None:
    """A known one goes on, and a deleted one makes room."""
    for number in range(3):
        await say(agent, "Hello.", session=f"namespaces/default/sessions/s{number}")
    assert (await refusal(agent.AppendTurn(turn(1, "Hello.")))).reason == "SESSIONS_FULL"
    await say(agent, "More.", session="namespaces/default/sessions/s0", start=2)
    gone = pb.DeleteSessionRequest(session="namespaces/default/sessions/s1")
    await agent.DeleteSession(gone)
    await agent.DeleteSession(gone)
    await say(agent, "Hello.")


async def test_sessions_are_listed_by_namespace_in_pages(agent: Any) -> None:
    """Another namespace's are not among them."""
    elsewhere = "namespaces/elsewhere/sessions/one"
    for session in (OTHER, SESSION, elsewhere):
        await say(agent, "Hello.", session=session)
    found, token = [], ""
    while True:
        request = pb.ListSessionsRequest(page_size=1, page_token=token)
        listed = await agent.ListSessions(request)
        found += [one.name for one in listed.sessions]
        token = listed.next_page_token
        if not token:
            break
    assert found == [SESSION, OTHER]
    wrong = pb.ListSessionsRequest(namespace="elsewhere", page_token="x")
    assert (await refusal(agent.ListSessions(wrong))).reason == "PAGE_TOKEN_INVALID"


async def test_what_is_about_a_subject_is_exported_and_then_gone_from_the_files(
    agent: Any, tmp_path: Path
) -> None:
    """Named or mentioned, also where only a summary had it; a late retry brings nothing back."""
    planted = "Zanzibarowitz lives in the lighthouse."
    await agent.AppendTurn(turn(1, planted))
    await agent.AppendTurn(turn(2, "He likes fish.", subjects=("Zanzibarowitz",)))
    await say(agent, *chatter(150), start=3)
    await agent.AppendTurn(turn(500, f"Did I say so? {planted}"))
    exporting = subjects.ExportSubjectRequest(subject="zanzibarowitz", mentions=True)
    parts = [part async for part in agent.ExportSubject(exporting)]
    (record,) = (record for part in parts for record in part.records)
    assert record.name == f"{SESSION}/turns/153"
    assert Turn.FromString(record.message).text.endswith(planted)
    deleting = subjects.DeleteSubjectRequest(subject="ZANZIBAROWITZ", mentions=True)
    assert holding(tmp_path, b"anzibarowitz")
    answer = await agent.DeleteSubject(deleting)
    assert answer.deleted > 1
    assert not answer.remains
    assert not holding(tmp_path, b"anzibarowitz")
    assert (await refusal(agent.AppendTurn(turn(500, f"Did I say so? {planted}")))).reason == (
        "TURN_DELETED"
    )
    window = await agent.GetWindow(pb.GetWindowRequest(session=SESSION, query=planted))
    assert "anzibarowitz" not in "".join(texts_of(window))


async def test_a_whole_namespace_is_deleted(agent: Any) -> None:
    """And no other one."""
    await say(agent, "Hello.", "Good morning.")
    await say(agent, "Hello.", session="namespaces/elsewhere/sessions/one")
    answer = await agent.DeleteSubject(subjects.DeleteSubjectRequest(whole_namespace=True))
    assert answer.deleted == 2
    assert not (await agent.ListSessions(pb.ListSessionsRequest())).sessions
    assert (await agent.ListSessions(pb.ListSessionsRequest(namespace="elsewhere"))).sessions
