"""A host of all agents of one group, as a process: each answers with its own name."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from google.protobuf.descriptor import FileDescriptor

from tandemkit.hosting.agent import Agent
from tandemkit.hosting.main import serve_agents
from tandemkit.hosting.scope import Scope
from tests.cluster.mesh.many_contracts import contracts
from tests.cluster.mesh.trial_contract import Answer


class Named:
    def __init__(self, service: str) -> None:
        self._service = service

    async def Ask(self, request: Any, _context: Any) -> Any:
        return Answer(text=self._service)

    Stick = Ask


def agent(contract: FileDescriptor) -> Agent:
    (service,) = contract.services_by_name.values()

    @asynccontextmanager
    async def named() -> AsyncIterator[Named]:
        yield Named(service.full_name)

    def build(_scope: Scope, _settings: Any) -> AbstractAsyncContextManager[Named]:
        return named()

    return Agent(contract=contract, build=build)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--agents-of", type=int, required=True)
    said, arguments = parser.parse_known_args()
    serve_agents([agent(contract) for contract in contracts(said.agents_of)], arguments)
