"""What stands between a caller and a model costs at least this: a process that takes HTTP, a stream
of gRPC to another one, which asks the model's server. Neither looks at what it passes on.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import uvloop
from aiohttp import web

from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.parts import free_ports

_PATH = "/v1/chat/completions"
_SERVICE, _METHOD = "bench.Relay", "Pass"
_READY_S = 30.0


async def _back(port: int, model: str) -> None:
    """Asks the server at that address."""
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession() as session:

        async def passed(request: bytes, context: Any) -> None:
            async with session.post(model + _PATH, data=request, headers=headers) as answer:
                async for chunk in answer.content.iter_any():
                    await context.write(chunk)

        methods: dict[str, Any] = {_METHOD: grpc.unary_stream_rpc_method_handler(passed)}
        server = grpc.aio.server()
        handler = grpc.method_handlers_generic_handler(_SERVICE, methods)
        server.add_generic_rpc_handlers((handler,))
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        await server.wait_for_termination()


async def _front(port: int, back: str) -> None:
    """Takes HTTP."""
    async with grpc.aio.insecure_channel(back) as channel:
        ask: Any = channel.unary_stream(f"/{_SERVICE}/{_METHOD}")

        async def passed(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            async for chunk in ask(await request.read(), wait_for_ready=True):
                if not response.prepared:
                    await response.prepare(request)
                await response.write(chunk)
            await response.write_eof()
            return response

        app = web.Application()
        app.router.add_post(_PATH, passed)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


@asynccontextmanager
async def bare_relay(model: str, folder: Path) -> AsyncIterator[tuple[str, tuple[int, ...]]]:
    """Its address, and the processes of it. `model` is the address of the model's server."""
    front, back = free_ports(2)
    url = f"http://127.0.0.1:{front}"

    async def answers() -> None:
        async with aiohttp.request("GET", url) as answer:
            await answer.read()

    def command(*words: str) -> Command:
        argv = (sys.executable, "-m", __name__, *words)
        return Command(argv, folder / f"{words[0]}.log")

    async with (
        supervised_process(command("back", str(back), model)) as one,
        supervised_process(
            command("front", str(front), f"127.0.0.1:{back}"),
            ready=answers,
            ready_within_s=_READY_S,
        ) as other,
    ):
        yield url, (one.pid, other.pid)


if __name__ == "__main__":
    _part, _port, _to = sys.argv[1:]
    uvloop.run((_front if _part == "front" else _back)(int(_port), _to))
