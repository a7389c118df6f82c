"""Packs what was found into the room that a language model has. Contract:
tandem.memory.v1.ContextAssemblerService.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.memory.context_assembler.servicer import Contexts
from tandem.memory.v1 import context_assembler_service_pb2 as pb
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope


@asynccontextmanager
async def build(_scope: Scope, _settings: None) -> AsyncIterator[Contexts]:
    yield Contexts()


AGENT = Agent(contract=pb.DESCRIPTOR, build=build)
main = AGENT.main
