"""A host of both trial agents, as a process: each answers with its setting, which is the host's
name, or fails while there is a file `ill` among its state.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tandemkit.core.errors import Bug
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.main import serve_agents
from tandemkit.hosting.scope import Scope
from tests.cluster.mesh.trial_contract import ALPHA_FILE, BETA_FILE, Answer, Question

ILL = "ill"


class Trial:
    """Every method says who answered."""

    def __init__(self, name: str, ill: Path) -> None:
        self._name = name
        self._ill = ill

    async def Ask(self, request: Any, _context: Any) -> Any:
        if self._ill.exists():
            raise Bug("the test wants it so")
        return Answer(text=self._name)

    Add = Wait = Stick = Ask


@asynccontextmanager
async def build(scope: Scope, settings: Any) -> AsyncIterator[Trial]:
    yield Trial(settings.text, scope.state_dir / ILL)


AGENTS = tuple(
    Agent(contract=contract, settings=Question, build=build) for contract in (ALPHA_FILE, BETA_FILE)
)

if __name__ == "__main__":
    serve_agents(AGENTS)
