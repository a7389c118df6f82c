"""A servicer of the probe contract that does what the request's text says, behind a real server."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from tandemkit.core.errors import Bug, CallerError, TransientError
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server
from tandemkit.testing import probe
from tandemkit.testing.failures import Failure, failure_of


class Probe:
    """Raises, hangs or echoes. `entered` is set by each call that hangs, `gone` by each that was
    cancelled; `freed` lets all of them go.
    """

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.freed = asyncio.Event()
        self.gone = asyncio.Event()
        self.left: list[str] = []

    async def Echo(self, request: Any, _context: Any) -> Any:
        return await self._act(request)

    async def Narrow(self, request: Any, _context: Any) -> Any:
        return await self._act(request)

    async def Collect(self, requests: Any, _context: Any) -> Any:
        return probe.ProbeResponse(text=",".join([one.text async for one in requests]))

    async def Tail(self, request: Any, _context: Any) -> Any:
        yield probe.ProbeResponse(text="first")
        yield await self._act(request)

    async def Burst(self, request: Any, context: Any) -> Any:
        async for response in self.Tail(request, context):
            yield response

    async def Chat(self, requests: Any, _context: Any) -> Any:
        async for request in requests:
            yield await self._act(request)

    async def _act(self, request: Any) -> Any:
        match request.text:
            case "odd":
                raise CallerError(probe.TOO_ODD, "too odd", field="text", oddness=7)
            case "busy":
                raise TransientError(probe.BUSY, "busy", retry_after_s=1.5)
            case "bug":
                raise Bug("counted wrong", expected=1)
            case "crash":
                raise KeyError("the secret of the agent")
            case "unknown reason":
                raise CallerError(77, "odd beyond words")
            case "own timeout":
                raise TimeoutError("the agent's own")
            case "hang":
                await self._hang()
        return probe.ProbeResponse(text=request.text)

    async def _hang(self) -> None:
        self.entered.set()
        try:
            await self.freed.wait()
        except asyncio.CancelledError:
            self.left.append("cancelled")
            self.gone.set()
            raise


@dataclass
class Probed:
    """A served probe and a channel to it."""

    servicer: Probe
    server: Server
    channel: grpc.aio.Channel
    address: str = ""

    def unary(self, method: str, text: str, **options: Any) -> Any:
        return self._call(self.channel.unary_unary, method)(_request(text), **options)

    def stream(self, method: str, text: str, **options: Any) -> Any:
        return self._call(self.channel.unary_stream, method)(_request(text), **options)

    def collect(self, texts: list[str]) -> Any:
        return self._call(self.channel.stream_unary, "Collect")(map(_request, texts))

    def chat(self) -> Any:
        return self._call(self.channel.stream_stream, "Chat")()

    def raw(self, method: str, wire: bytes) -> Any:
        """Sends `wire` as it is."""
        call: Any = self.channel.unary_unary(probe.path(method))
        return call(wire)

    @staticmethod
    def _call(kind: Any, method: str) -> Any:
        return kind(
            probe.path(method),
            request_serializer=probe.ProbeRequest.SerializeToString,
            response_deserializer=probe.parse,
        )


@asynccontextmanager
async def probed(
    server: Server | None = None,
    servicer: Probe | None = None,
    options: Sequence[tuple[str, int]] = (),
) -> AsyncIterator[Probed]:
    """With a servicer of the test's own, if it has one, and a channel made with `options`."""
    servicer = servicer or Probe()
    server = server or Server()
    server.mount(Contract.of(probe.DESCRIPTOR), servicer)
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        address = f"unix:{folder}/probe.sock"
        await server.start(address)
        try:
            async with grpc.aio.insecure_channel(address, options=options) as channel:
                yield Probed(servicer, server, channel, address)
        finally:
            servicer.freed.set()
            await server.drain(0)


async def refused(call: Any) -> Failure:
    """How `call` failed; fails the test where it did not."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return failure_of(error)
    raise AssertionError(f"answered {answer!r}")


def _request(text: str) -> Any:
    return probe.ProbeRequest(text=text)
