"""A real Chromium without a window, and what it makes of a page."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp

from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.parts import demand, short_folder
from tests.cluster.eventually import eventually

_WITHIN_S = 30.0
_ADDRESS = "DevToolsActivePort"


class Tab:
    """One page, asked by the browser's own protocol."""

    def __init__(self, wire: aiohttp.ClientWebSocketResponse) -> None:
        self._wire = wire
        self._numbers = itertools.count(1)

    async def ask(self, method: str, **parameters: Any) -> Any:
        """What the browser answers; what it tells meanwhile is passed over."""
        number = next(self._numbers)
        await self._wire.send_json({"id": number, "method": method, "params": parameters})
        while True:
            told = await self._wire.receive_json()
            if told.get("id") == number:
                if "error" in told:  # as between two pages
                    raise ValueError(told["error"]["message"])
                return told["result"]

    async def value(self, expression: str) -> Any:
        """Of JavaScript in the page; a promise's is awaited."""
        options = {"awaitPromise": True, "returnByValue": True}
        told = await self.ask("Runtime.evaluate", expression=expression, **options)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, expression: str) -> None:
        """As soon as it is true in the page, where what it names may not be yet."""
        tried = f"(() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }})()"

        async def holds() -> bool:
            return bool(await self.value(tried))

        await eventually(holds, within_s=_WITHIN_S)


@asynccontextmanager
async def tab(url: str) -> AsyncIterator[Tab]:
    """That shows the page."""
    chromium = demand("chromium")["chromium"]
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(short_folder())
        argv = (
            *(str(chromium), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-dev-shm-usage", f"--user-data-dir={folder}", "--remote-debugging-port=0"),
            *("--window-size=1280,900", url),
        )
        known = {"HOME": str(folder), "PATH": os.defpath}
        command = Command(argv, folder / "log", env=known)
        await stack.enter_async_context(supervised_process(command))

        async def listens() -> list[str]:
            # It is there before it is written.
            return (folder / _ADDRESS).read_text().split()

        port = (await eventually(listens, within_s=_WITHIN_S))[0]
        client = await stack.enter_async_context(aiohttp.ClientSession())
        async with client.get(f"http://127.0.0.1:{port}/json/list") as told:
            pages = [one for one in await told.json() if one["type"] == "page"]
        address = pages[0]["webSocketDebuggerUrl"]
        wire = await stack.enter_async_context(client.ws_connect(address, max_msg_size=0))
        async with asyncio.timeout(_WITHIN_S * 4):
            yield Tab(wire)
