"""A web site that shows the page `evil.html`, and keeps what it found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

PAGE = Path(__file__).with_name("evil.html")
# An answer that a page of any origin may read: so the page does read what it is allowed to.
_CARELESS = {"Access-Control-Allow-Origin": "*"}


@dataclass
class Site:
    port: int = 0
    targets: dict[str, str] = field(default_factory=dict)
    found: asyncio.Future[Mapping[str, str]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


@asynccontextmanager
async def evil_site() -> AsyncIterator[Site]:
    site = Site()

    async def page(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGE)

    async def targets(_request: web.Request) -> web.Response:
        return web.json_response(site.targets)

    async def careless(_request: web.Request) -> web.Response:
        return web.Response(text="told everybody", headers=_CARELESS)

    async def found(request: web.Request) -> web.Response:
        site.found.set_result(await request.json())
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/targets", targets), web.post("/found", found)])
    app.add_routes([web.get("/careless", careless)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        listening = web.TCPSite(runner, "127.0.0.1", 0)
        await listening.start()
        site.port = runner.addresses[0][1]
        yield site
    finally:
        await runner.cleanup()
