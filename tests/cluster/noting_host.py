"""A host of an agent that notes the idempotency key of each call on disk, takes its time, and
answers; as a process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tandemkit.core.clock import Clock
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.agent_caller import KEY_HEADER
from tandemkit.hosting.main import serve_agents
from tandemkit.hosting.scope import Scope
from tests.cluster.mesh.trial_contract import ALPHA_FILE, Answer, Question

NOTES = "notes"


class Noting:
    """A line for each call; the request's text says how many seconds it takes."""

    def __init__(self, notes: Path, clock: Clock) -> None:
        self._notes, self._clock = notes, clock

    async def Ask(self, request: Any, context: Any) -> Any:
        headers = dict(context.invocation_metadata())
        await asyncio.to_thread(self._note, headers[KEY_HEADER])
        await self._clock.sleep(float(request.text or 0))
        return Answer()

    Add = Wait = Stick = Ask

    def _note(self, key: str) -> None:
        with self._notes.open("a", encoding="ascii") as notes:
            notes.write(f"{key}\n")


@asynccontextmanager
async def build(scope: Scope, settings: Any) -> AsyncIterator[Noting]:
    yield Noting(Path(settings.text), scope.clock)


AGENT = Agent(contract=ALPHA_FILE, settings=Question, build=build)

if __name__ == "__main__":
    serve_agents((AGENT,))
