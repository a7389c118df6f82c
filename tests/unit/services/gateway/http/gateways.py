"""A gateway beside an agent with a method of each kind, and a client of its HTTP port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc

from services.gateway.http import listening
from services.gateway.http.agent import AGENT
from tandem.gateway.config.v1 import http_pb2 as cfg
from tandemkit.core.clock import SystemClock
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.core.token import Token
from tandemkit.hosting.adding import program_of
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.rpc.context import Context, time_left_s
from tandemkit.testing import probe
from tandemkit.testing.agents import fake_agent

ADDRESS = "127.0.0.1:0"


class Probing:
    """What the agent beside it was told, by method: its answers say the rest."""

    def __init__(self) -> None:
        self.left_s: list[float | None] = []
        self.metadata: list[dict[str, str | bytes]] = []
        self.hung_up = asyncio.Event()

    @property
    def agent(self) -> Agent:
        return fake_agent(
            probe.DESCRIPTOR,
            Echo=self.echo,
            Narrow=self.narrow,
            Collect=self.collect,
            Tail=self.tail,
            Burst=self.tail,
            Chat=self.chat,
        )

    async def echo(self, request: Any, context: Context) -> Any:
        self.left_s.append(time_left_s(context))
        told = context.invocation_metadata() or ()
        self.metadata.append(dict(iter(told)))
        if request.text == "odd":
            raise CallerError(probe.TOO_ODD, "the text is odd", field="text", text=request.text)
        if request.text == "busy":
            raise TransientError(probe.BUSY, "there is too much to do", retry_after_s=0.1)
        if request.text == "broken":
            raise RuntimeError("a defect of the agent")
        return probe.ProbeResponse(text=request.text)

    async def narrow(self, _request: Any, _context: Context) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            self.hung_up.set()

    async def collect(self, requests: AsyncIterator[Any], _context: Context) -> Any:
        return probe.ProbeResponse(text=" ".join([one.text async for one in requests]))

    async def tail(self, request: Any, context: Context) -> AsyncIterator[Any]:
        """Each word; then it waits where the last one is `forever`, and fails where it is `odd`."""
        self.metadata.append(dict(iter(context.invocation_metadata() or ())))
        for word in request.text.split():
            if word == "forever":
                await self.narrow(request, context)
            if word == "odd":
                raise CallerError(probe.TOO_ODD, "the text is odd", text=word)
            yield probe.ProbeResponse(text=word)

    async def chat(self, requests: AsyncIterator[Any], _context: Context) -> AsyncIterator[Any]:
        async for one in requests:
            yield probe.ProbeResponse(text=one.text.upper())


@dataclass(frozen=True)
class Gateway:
    """One that runs, a client of it that shows `token`, and gRPC to the same agents."""

    url: str
    client: aiohttp.ClientSession
    channel: grpc.aio.Channel
    token: Token

    async def post(self, path: str, value: object = None, **options: Any) -> tuple[int, Any]:
        """Status and JSON."""
        async with self.client.post(f"{self.url}{path}", json=value, **options) as told:
            return told.status, await told.json(content_type=None)


def _placed(agent: Agent) -> Placed:
    return Placed(agent, agent.settings() if agent.settings else None)


@asynccontextmanager
async def gateway(
    folder: Path,
    *beside: Agent | Placed,
    settings: cfg.HttpSettings | None = None,
    spare: Agent | None = None,
) -> AsyncIterator[Gateway]:
    """With the token of `folder`, which its gRPC port asks for too. Agents have their default
    settings where none are said; `spare` can be added later.
    """
    token = Token.kept(folder / "token")
    state = folder / "state"
    placed = Placed(AGENT, settings or cfg.HttpSettings(address=ADDRESS))
    others = [one if isinstance(one, Placed) else _placed(one) for one in beside]
    known = [placed.agent, *(one.agent for one in others), *((spare,) if spare else ())]
    address = f"unix:{folder}/grpc"
    place = Place(address, state, SystemClock(), 0.0, token=token, program=program_of(known))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(hosting((placed, *others), place))
        url = (state / AGENT.name / listening.ADDRESS_FILE).read_text()
        headers = {"authorization": token.bearer}
        client = await stack.enter_async_context(aiohttp.ClientSession(headers=headers))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(place.address))
        yield Gateway(url, client, channel, token)


__all__ = ["Gateway", "gateway", "probe"]
