"""`ask` and `chat` against a real server, whose coordinator says what a test has it say."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
import grpc
import pytest
from click.testing import CliRunner, Result

from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import errors_pb2 as errors
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandemkit.cli.ask import ask
from tandemkit.cli.asking import Wanted, answered
from tandemkit.cli.chat import chat
from tandemkit.cli.output import Refusal
from tandemkit.core.clock import SystemClock
from tandemkit.core.errors import TransientError
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.testing.agents import fake_agent
from tandemkit.testing.clock import FakeClock

SENTENCES = ("An agent is added by tools/new_agent.py.", " It has five facts. [1]")
DOCUMENTS = "tandem.memory.v1.KnowledgeBaseService"


class Coordinator:
    """Answers everything alike; `asked` is what it was asked."""

    def __init__(self) -> None:
        self.asked: list[pb.StreamAskRequest] = []
        self.heard, self.may_speak = asyncio.Event(), asyncio.Event()

    async def stream(self, request: pb.StreamAskRequest, _context: Any) -> Any:
        self.asked.append(request)
        if request.text == "fail":
            reason = errors.ERROR_REASON_NOBODY_ANSWERED
            raise TransientError(reason, "nobody who could answer did", retry_after_s=1.0)
        finished = pb.AskResponse(correlation_id="req-1")
        finished.routing.route = nouns.ROUTE_KNOWLEDGE
        finished.answerer.service, finished.answerer.backend = DOCUMENTS, "extractive"
        finished.took.FromMilliseconds(120)
        yield pb.StreamAskResponse(started=pb.Started(correlation_id="req-1"))
        if request.text == "slow":
            self.heard.set()
            await self.may_speak.wait()
        if request.text != "unknown":
            for sentence in SENTENCES:
                yield pb.StreamAskResponse(piece=pb.Piece(text=f"{sentence}\x1b[2J"))
            missing = nouns.Shortfall(service="tandem.memory.v1.AnswerService", code="UNAVAILABLE")
            missing.cause = "it is not there"
            yield pb.StreamAskResponse(shortfall=missing)
            finished.answer, finished.is_answered = "".join(SENTENCES), True
            finished.shortfalls.append(missing)
            finished.citations.add(
                number=1,
                name="namespaces/tandem-docs/documents/contributing/passages/1",
                title="Contributing",
                uri="CONTRIBUTING.md",
                quote=SENTENCES[0],
                start_char=10,
                end_char=50,
            )
        yield pb.StreamAskResponse(finished=finished)


class Prompt:
    """A person at a shell, beside one server."""

    def __init__(self, address: str, coordinator: Coordinator) -> None:
        self.address, self.coordinator = address, coordinator

    @property
    def asked(self) -> list[pb.StreamAskRequest]:
        return self.coordinator.asked

    async def type(self, command: click.Command, *words: str, told: str | bytes = "") -> Result:
        arguments = [*words, "--address", self.address]
        invoke = functools.partial(CliRunner().invoke, command, arguments, input=told)
        return await asyncio.to_thread(invoke)


@asynccontextmanager
async def prompt(folder: Path) -> AsyncIterator[Prompt]:
    coordinator = Coordinator()

    async def stream(request: pb.StreamAskRequest, context: Any) -> Any:
        async for event in coordinator.stream(request, context):
            yield event

    agent = fake_agent(pb.DESCRIPTOR, StreamAsk=stream)
    place = Place("127.0.0.1:0", folder, SystemClock(), 0.0)
    async with hosting((Placed(agent, None),), place) as port:
        yield Prompt(f"127.0.0.1:{port}", coordinator)


async def test_an_answer_is_shown_with_its_sources_and_who_gave_it(tmp_path: Path) -> None:
    """And who did not; nothing in it moves the cursor."""
    async with prompt(tmp_path) as one:
        done = await one.type(ask, "How", "do", "I", "add", "an", "agent?", "--route", "knowledge")
    assert done.exit_code == 0
    assert done.output.startswith(SENTENCES[0])
    assert "\x1b" not in done.output
    assert "[1] CONTRIBUTING.md: Contributing" in done.output
    assert "documents/contributing/passages/1, characters 10 to 50" in done.output
    assert "extractive (quotes, no language model) · knowledge · 0.12 s · req-1" in done.output
    assert "Answer has no part in the answer: it is not there" in done.output
    (request,) = one.asked
    assert (request.text, request.route) == ("How do I add an agent?", nouns.ROUTE_KNOWLEDGE)


async def test_a_program_gets_one_json_value(tmp_path: Path) -> None:
    """All that the coordinator says."""
    async with prompt(tmp_path) as one:
        done = await one.type(ask, "-", "--json", told="How?\n")
    told = json.loads(done.stdout)
    assert told["citations"][0]["uri"] == "CONTRIBUTING.md"
    assert told["answerer"]["backend"] == "extractive"
    assert told["shortfalls"][0]["code"] == "UNAVAILABLE"


async def test_what_nobody_knows_is_exit_one(tmp_path: Path) -> None:
    """A call that failed too, with what to do about it; nothing to ask is wrong usage."""
    async with prompt(tmp_path) as one:
        unknown = await one.type(ask, "unknown")
        failed = await one.type(ask, "fail")
        empty = await one.type(ask, "-")
    assert unknown.exit_code == 1
    assert "nobody who was asked knows" in unknown.output
    assert isinstance(failed.exception, Refusal)
    assert "UNAVAILABLE/NOBODY_ANSWERED" in failed.exception.message
    assert "./tandem" in failed.exception.message
    assert isinstance(empty.exception, Refusal)
    assert empty.exception.exit_code == 2


async def test_bytes_that_are_no_text_are_asked_as_such(tmp_path: Path) -> None:
    """A diff may hold some, and a shell's word; what is around them is asked all the same."""
    async with prompt(tmp_path) as one:
        piped = await one.type(ask, "-", told=b"a\xffb")
        typed = await one.type(ask, "a\udcffb")
        talked = await one.type(chat, told=b"a\xffb\nsecond\n")
    assert [piped.exit_code, typed.exit_code, talked.exit_code] == [0, 0, 0]
    texts = [request.text for request in one.asked]
    assert texts == ["a\ufffdb", "a\ufffdb", "a\ufffdb", "second"]


async def test_a_conversation_has_one_session_through_a_pipe(tmp_path: Path) -> None:
    """Until a new one is begun; slashes are for the command and not for the fleet."""
    lines = "first\n\nsecond\n/model big\n/new\nthird\n/sources\n/nonsense\n/exit\nnever\n"
    async with prompt(tmp_path) as one:
        done = await one.type(chat, "--session", "notes", told=lines)
    assert done.exit_code == 0, done.output
    assert [request.text for request in one.asked] == ["first", "second", "third"]
    sessions = [request.session for request in one.asked]
    assert sessions[0] == sessions[1] == "namespaces/default/sessions/notes"
    assert sessions[2] != sessions[0]
    assert one.asked[2].model == "big"
    assert done.output.count("[1] CONTRIBUTING.md") == 1
    assert "there is no /nonsense" in done.output


async def test_a_turn_that_failed_does_not_end_a_conversation(tmp_path: Path) -> None:
    """A pipe's exit code says that one did; in JSON each turn is a line."""
    async with prompt(tmp_path) as one:
        done = await one.type(chat, "--json", told="fail\nfirst\n")
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert done.exit_code == 1
    assert first["error"]["reason"] == "NOBODY_ANSWERED"
    assert second["is_answered"]


async def test_a_silence_is_shown_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its first second to the first word: a language model may be read from a disk first."""
    master, slave = os.openpty()
    clock, shown = FakeClock(), list[str]()
    with os.fdopen(slave, "w") as terminal, os.fdopen(master, "rb", buffering=0) as screen:
        monkeypatch.setattr(sys, "stderr", terminal)
        async with (
            prompt(tmp_path) as one,
            grpc.aio.insecure_channel(one.address) as channel,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(answered(channel, "slow", Wanted(), shown.append, clock))
            await one.coordinator.heard.wait()
            await clock.advance(1.2)
            assert b"asking 1 s" in screen.read(4096)
            one.coordinator.may_speak.set()
        assert screen.read(4096).startswith(b"\r\x1b[2K")
    assert "".join(shown).startswith(SENTENCES[0])
