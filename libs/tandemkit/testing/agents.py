"""An agent behind a real gRPC server on a unix socket, with everything that the kit puts in front
of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from google.protobuf.message import Message

from tandemkit.core.clock import Clock, SystemClock
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.host import Place, Placed, hosting


@asynccontextmanager
async def serving(
    agent: Agent,
    *,
    settings: Message | None = None,
    state_dir: Path,
    clock: Clock | None = None,
    grace_s: float = 0.0,
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to `agent`, built with `settings` or its defaults; the same `state_dir` again is a
    restart.
    """
    if settings is None and agent.settings is not None:
        settings = agent.settings()
    # A socket's path has room for about a hundred characters, which a test's own folder often
    # exceeds.
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        address = f"unix:{folder}/agent.sock"
        place = Place(address, state_dir, clock or SystemClock(), grace_s)
        async with (
            hosting((Placed(agent, settings),), place),
            grpc.aio.insecure_channel(address) as channel,
        ):
            yield channel
