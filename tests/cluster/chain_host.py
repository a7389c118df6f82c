"""A host of an agent that calls, of the one that it calls, or of both, as a process."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from tandemkit.hosting.agent import Agent
from tandemkit.hosting.main import serve_agents
from tandemkit.hosting.scope import Scope
from tandemkit.rpc.context import time_left_s
from tests.cluster.mesh.trial_contract import ALPHA, ALPHA_FILE, BETA_FILE, Answer, Question


class AlphaStub:
    """As protoc would generate it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        def method(name: str) -> Any:
            codecs = Question.SerializeToString, Answer.FromString
            return channel.unary_unary(f"/{ALPHA}/{name}", *codecs)

        self.Ask, self.Wait = method("Ask"), method("Wait")


class Callee:
    """Says its name and how its caller came, or how long that one would wait."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def Ask(self, _request: Any, context: Any) -> Any:
        way = context.peer().partition(":")[0]
        return Answer(text=f"{self._name} by {way}")

    async def Wait(self, _request: Any, context: Any) -> Any:
        return Answer(text=f"{time_left_s(context)}")

    Add = Stick = Ask


class Caller:
    """Passes on what it is told."""

    def __init__(self, alpha: AlphaStub) -> None:
        self._alpha = alpha

    async def Ask(self, request: Any, _context: Any) -> Any:
        return await self._alpha.Ask(request)

    async def Wait(self, request: Any, _context: Any) -> Any:
        return await self._alpha.Wait(request)

    Add = Stick = Ask


@asynccontextmanager
async def build_callee(_scope: Scope, settings: Any) -> AsyncIterator[Callee]:
    yield Callee(settings.text)


@asynccontextmanager
async def build_caller(scope: Scope, _settings: None) -> AsyncIterator[Caller]:
    yield Caller(scope.stub(AlphaStub))


CALLEE = Agent(contract=ALPHA_FILE, settings=Question, build=build_callee)
CALLER = Agent(contract=BETA_FILE, calls=(ALPHA_FILE,), build=build_caller)
ROLES = {"caller": (CALLER,), "callee": (CALLEE,), "both": (CALLER, CALLEE)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--role", choices=ROLES, required=True)
    said, others = parser.parse_known_args()
    serve_agents(ROLES[said.role], others)
