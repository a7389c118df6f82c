"""A host whose second trial agent asks the first, and answers what it heard: who, and from where
the call came in that one's eyes. A failure is answered by its code.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from tandemkit.hosting.agent import Agent
from tandemkit.hosting.main import serve_agents
from tandemkit.hosting.scope import Scope
from tests.cluster.mesh.trial_contract import ALPHA, ALPHA_FILE, BETA_FILE, Answer, Question


class AlphaStub:
    """As protoc would have written it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.Ask: Any = channel.unary_unary(
            f"/{ALPHA}/Ask",
            request_serializer=Question.SerializeToString,
            response_deserializer=Answer.FromString,
        )


class Asked:
    def __init__(self, name: str) -> None:
        self._name = name

    async def Ask(self, _request: Any, context: Any) -> Any:
        is_near = context.peer().startswith("in-process")
        return Answer(text=f"{self._name} {'near' if is_near else 'far'}")

    Add = Wait = Stick = Ask


class Asking:
    def __init__(self, alpha: AlphaStub) -> None:
        self._alpha = alpha

    async def Ask(self, request: Any, _context: Any) -> Any:
        try:
            return await self._alpha.Ask(request)
        except grpc.aio.AioRpcError as error:
            return Answer(text=error.code().name)

    Add = Wait = Stick = Ask


@asynccontextmanager
async def asked(_scope: Scope, settings: Any) -> AsyncIterator[Asked]:
    yield Asked(settings.text)


@asynccontextmanager
async def asking(scope: Scope, _settings: Any) -> AsyncIterator[Asking]:
    yield Asking(scope.stub(AlphaStub))


AGENTS = (
    Agent(contract=ALPHA_FILE, settings=Question, build=asked),
    Agent(contract=BETA_FILE, settings=Question, build=asking, soft_calls=(ALPHA_FILE,)),
)

if __name__ == "__main__":
    serve_agents(AGENTS)
