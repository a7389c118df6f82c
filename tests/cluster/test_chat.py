"""`./tandem chat` in a real terminal: what a person types, sees and stops."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandemkit.cli.main import main
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.testing.agents import fake_agent
from tandemkit.testing.parts import short_folder
from tandemkit.testing.parts_terminal import Terminal, terminal
from tests.cluster.eventually import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.real("tmux")]


class Speaker:
    """Answers in two pieces; `long` never ends."""

    def __init__(self) -> None:
        self.hung_up = asyncio.Event()

    async def stream(self, request: pb.StreamAskRequest) -> AsyncIterator[pb.StreamAskResponse]:
        yield pb.StreamAskResponse(started=pb.Started(correlation_id="req-1"))
        yield pb.StreamAskResponse(piece=pb.Piece(text=f"You said {request.text}, "))
        if request.text == "long":
            try:
                await asyncio.Event().wait()
            finally:
                self.hung_up.set()
        yield pb.StreamAskResponse(piece=pb.Piece(text="I heard. [1]\x1b[31m"))
        answer = pb.AskResponse(answer="I heard. [1]", is_answered=True, correlation_id="req-1")
        answer.answerer.backend = "extractive"
        answer.routing.route = nouns.ROUTE_KNOWLEDGE
        answer.citations.add(number=1, name="namespaces/a/documents/b/passages/1", uri="b.md")
        yield pb.StreamAskResponse(finished=answer)


@asynccontextmanager
async def talking() -> AsyncIterator[tuple[Terminal, Speaker]]:
    speaker = Speaker()

    async def stream(request: pb.StreamAskRequest, _context: Any) -> Any:
        async for event in speaker.stream(request):
            yield event

    agent = fake_agent(pb.DESCRIPTOR, StreamAsk=stream)
    with short_folder() as folder:
        variables = {
            "PATH": os.defpath,
            "HOME": str(folder),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "TANDEM_HOME": str(folder / "home"),
        }
        start = shlex.join((sys.executable, "-c", f"from {main.__module__} import main; main()"))
        place = Place("127.0.0.1:0", folder / "state", SystemClock(), 0.0)
        async with (
            hosting((Placed(agent, None),), place) as port,
            terminal(variables, folder) as window,
        ):
            await window.run(f"{start} chat --address 127.0.0.1:{port}; echo ended with $?")
            yield window, speaker


async def sees(window: Terminal, *texts: str) -> None:
    def has_all(lines: list[str]) -> bool:
        return all(any(text in line for line in lines) for text in texts)

    await eventually(window.screen, has_all)


async def test_a_person_talks_stops_an_answer_and_leaves() -> None:
    """Ctrl-C ends the answer, at the agent too, and not the conversation."""
    async with talking() as (window, speaker):
        await sees(window, "/help says what there is")
        await window.run("first")
        await sees(window, "You said first, I heard. [1]", "extractive (quotes")
        await window.run("/sources")
        await sees(window, "[1] b.md")
        await window.run("long")
        await sees(window, "You said long,")
        await window.press("C-c")
        await sees(window, "stopped")
        await asyncio.wait_for(speaker.hung_up.wait(), 10)
        await window.press("Up", "Up", "Up", "Enter")
        await eventually(window.screen, lambda lines: _count(lines, "You said first,") > 1)
        await window.press("C-d")
        await sees(window, "ended with 0")


def _count(lines: list[str], text: str) -> int:
    return sum(text in line for line in lines)
