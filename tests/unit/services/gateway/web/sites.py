"""Sites of this machine, for what reads the web."""

from __future__ import annotations

import gzip
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.typedefs import Handler

_ARTICLE = """<!doctype html><html lang="de"><head><title>Der Reiher</title></head><body>
<nav><a href="/elsewhere">Navigation</a></nav>
<main><h1>Der Reiher</h1><p>Er steht im Wasser &amp; wartet.</p>
<p><a href="fish#top">Fische</a> <a href="mailto:x@example.org">Post</a></p></main>
<form name="ask" method="post" action="/asked"><label for="w">Wort</label>
<input id="w" name="word" required><input type="hidden" name="csrf" value="7f">
<input type="checkbox" name="exact" value="yes"><select name="kind"><option>bird
<option value="f" selected>fish</select><textarea name="note">
hello</textarea><input type="file" name="upload"><button name="go" value="1">Go</button></form>
<form action="/found"><input name="q" value="heron"></form></body></html>"""


@dataclass
class Site:
    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """On 127.0.0.1, whose name is `localhost`."""
    it = Site()

    @web.middleware
    async def noted(request: web.Request, handler: Handler) -> web.StreamResponse:
        it.asked.append(f"{request.method} {request.path_qs}")
        return await handler(request)

    app = web.Application(middlewares=[noted])
    app.add_routes(
        [
            web.get("/article", _article),
            web.post("/asked", _asked),
            web.get("/found", _found),
            web.get("/to", _to),
            web.get("/round", _round),
            web.get("/bomb", _bomb),
            web.get("/picture", _picture),
            web.get("/latin", _latin),
            web.get("/broken", _broken),
            web.get("/never", _never),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    held = socket.create_server(("127.0.0.1", 0))
    it.port = held.getsockname()[1]
    await web.SockSite(runner, held).start()
    try:
        yield it
    finally:
        await runner.cleanup()


class Names(AbstractResolver):
    """Tells these addresses, the first of a name first."""

    def __init__(self, **names: list[str]) -> None:
        self._names = names

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        told = self._names[host.partition(".")[0]]
        address = told.pop(0) if len(told) > 1 else told[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        found = ResolveResult(
            hostname=host, host=address, port=port, family=family, proto=0, flags=0
        )
        return [found]

    async def close(self) -> None:
        return


async def _article(_request: web.Request) -> web.Response:
    answer = web.Response(text=_ARTICLE, content_type="text/html")
    answer.set_cookie("visitor", "one")
    return answer


async def _asked(request: web.Request) -> web.Response:
    told = await request.post()
    said = " ".join("=".join((name, str(value))) for name, value in told.items())
    return web.Response(text=f"{said} cookie={request.cookies.get('visitor')}")


async def _found(request: web.Request) -> web.Response:
    return web.Response(text=f"found {request.query_string}")


async def _to(request: web.Request) -> web.Response:
    status = int(request.query.get("status", "302"))
    return web.Response(status=status, headers={"Location": request.query["url"]})


async def _round(_request: web.Request) -> web.Response:
    raise web.HTTPFound("/round")


async def _bomb(_request: web.Request) -> web.Response:
    packed = gzip.compress(bytes(64 * 1024 * 1024))
    headers = {"Content-Encoding": "gzip", "Content-Type": "text/plain"}
    return web.Response(body=packed, headers=headers)


async def _picture(_request: web.Request) -> web.Response:
    return web.Response(body=b"\x89PNG\r\n", content_type="image/png")


async def _latin(_request: web.Request) -> web.Response:
    return web.Response(body="Käse".encode("latin-1"), content_type="text/plain")


async def _broken(_request: web.Request) -> web.Response:
    said = '<p>Some words.</p><form action="http://["><input name="q"></form>'
    return web.Response(text=said, content_type="text/html")


async def _never(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    await answer.write(b"a beginning")
    transport = request.transport
    assert transport is not None
    transport.abort()
    return answer
