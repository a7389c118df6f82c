"""An agent behind a real gRPC server on a unix socket, with everything that the kit puts in front
of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message

from tandemkit.core.clock import Clock, SystemClock
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.hosting.scope import Scope
from tandemkit.rpc.contract import Contract, Method


@asynccontextmanager
async def serving(
    agent: Agent,
    *,
    settings: Message | None = None,
    beside: Sequence[Agent] = (),
    state_dir: Path,
    clock: Clock | None = None,
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to `agent`, built with `settings` or its defaults; the same `state_dir` again is a
    restart. `beside` it, in the same host, are the agents that it calls, or fakes of them.
    """
    others = (Placed(one, one.settings() if one.settings else None) for one in beside)
    if settings is None and agent.settings is not None:
        settings = agent.settings()
    # A socket's path has room for about a hundred characters, which a test's own folder often
    # exceeds.
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        address = f"unix:{folder}/agent.sock"
        place = Place(address, state_dir, clock or SystemClock(), 0.0)
        async with (
            hosting((Placed(agent, settings), *others), place),
            grpc.aio.insecure_channel(address) as channel,
        ):
            yield channel


def fake_agent(contract: FileDescriptor, **methods: Callable[[Any, Any], Any]) -> Agent:
    """Stands in for one that the agent under test calls: it answers by these methods, written as in
    a servicer, and any other one with UNIMPLEMENTED.
    """
    others = {one.name: _refusal(one) for one in Contract.of(contract).methods}
    servicer = SimpleNamespace(**{**others, **methods})

    @asynccontextmanager
    async def build(_scope: Scope, _settings: None) -> AsyncIterator[SimpleNamespace]:
        yield servicer

    return Agent(contract=contract, build=build)


def _refusal(method: Method) -> Callable[[Any, Any], Any]:
    async def answer(_request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the fake has no {method.name}")

    async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
        yield await answer(request, context)

    return stream if method.server_streaming else answer
