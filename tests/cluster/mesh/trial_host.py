"""A host of both trial agents, as a process: each answers with its setting, which is the host's
name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tandemkit.hosting.agent import Agent
from tandemkit.hosting.main import serve_agents
from tandemkit.hosting.scope import Scope
from tests.cluster.mesh.trial_contract import ALPHA_FILE, BETA_FILE, Answer, Question


class Trial:
    """Every method says who answered."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def Ask(self, request: Any, _context: Any) -> Any:
        return Answer(text=self._name)

    Add = Wait = Stick = Ask


@asynccontextmanager
async def build(_scope: Scope, settings: Any) -> AsyncIterator[Trial]:
    yield Trial(settings.text)


AGENTS = tuple(
    Agent(contract=contract, settings=Question, build=build) for contract in (ALPHA_FILE, BETA_FILE)
)

if __name__ == "__main__":
    serve_agents(AGENTS)
