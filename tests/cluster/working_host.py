"""A host of an agent that does what the request says, and notes on disk what it was asked and with
which key; as a process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tandemkit.core.clock import Clock
from tandemkit.core.errors import Bug
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.agent_caller import KEY_HEADER
from tandemkit.hosting.main import serve_agents
from tandemkit.hosting.scope import Scope
from tests.cluster.mesh.trial_contract import ALPHA_FILE, Answer, Question

NOTES, BAD = "notes", "bad"


class Working:
    """The request's text: the name of the work, how many seconds it takes, and how it ends."""

    def __init__(self, notes: Path, clock: Clock) -> None:
        self._notes, self._clock = notes, clock

    async def Ask(self, request: Any, context: Any) -> Any:
        work, takes_s, fate = request.text.split()
        key = dict(context.invocation_metadata())[KEY_HEADER]
        await asyncio.to_thread(self._note, f"{work} {key}\n")
        await self._clock.sleep(float(takes_s))
        if fate == BAD:
            raise Bug("the test wants it so")
        return Answer(text=work)

    Add = Wait = Stick = Ask

    def _note(self, line: str) -> None:
        with self._notes.open("a", encoding="ascii") as notes:
            notes.write(line)


@asynccontextmanager
async def build(scope: Scope, settings: Any) -> AsyncIterator[Working]:
    yield Working(Path(settings.text), scope.clock)


AGENT = Agent(contract=ALPHA_FILE, settings=Question, build=build)

if __name__ == "__main__":
    serve_agents((AGENT,))
