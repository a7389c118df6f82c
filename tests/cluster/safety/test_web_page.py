"""A page that somebody's browser shows, and that knows every port of the fleet."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.parts import demand, short_folder
from tests.cluster.mesh.trial_contract import ALPHA
from tests.cluster.safety.evil_site import evil_site
from tests.cluster.safety.exposed import Exposed, exposed
from tests.unit.services.gateway.http.gateways import Probing, gateway

pytestmark = [pytest.mark.cluster, pytest.mark.real("envoy"), pytest.mark.timeout(180)]
ASK = f"/{ALPHA}/Ask"
POLICY = "/tandem.control.v1.TrafficPolicyService/UndoPolicyChange"
PATHS = {"control": POLICY, "control http": "/health", "host": ASK, "host http": "/metrics"}
EVIL = "http://evil.test"
_WITHIN_S = 5.0
_EMPTY_MESSAGE = "\0\0\0\0\0"
_SOCKET = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
_SOCKET += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
_WEB = "Content-Type: application/grpc-web+proto\r\nX-Grpc-Web: 1\r\n"
_PREFLIGHT = "Access-Control-Request-Method: POST\r\n"
_PREFLIGHT += "Access-Control-Request-Headers: content-type,x-grpc-web,authorization\r\n"
_BODY = f"Content-Length: {len(_EMPTY_MESSAGE)}\r\n"
# As browsers send them: method, headers beside Host and Origin, and body.
REQUESTS = {
    "a simple post": ("POST", f"Content-Type: text/plain\r\n{_BODY}", _EMPTY_MESSAGE),
    "a form": ("POST", f"Content-Type: application/x-www-form-urlencoded\r\n{_BODY}", "a=b&c"),
    "a preflight": ("OPTIONS", _PREFLIGHT, ""),
    "gRPC-Web": ("POST", f"{_WEB}{_BODY}", _EMPTY_MESSAGE),
    "a web socket": ("GET", _SOCKET, ""),
    "a get": ("GET", "", ""),
}


@pytest.fixture
async def fleet() -> AsyncIterator[Exposed]:
    async with exposed() as fleet:
        yield fleet


async def answered(port: int, head: str, body: str) -> bytes:
    """All that comes back; nothing where the port hangs up, or never answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"{head}\r\n{body}".encode())
        async with asyncio.timeout(_WITHIN_S):
            await writer.drain()
            return await reader.read(65536)
    except (TimeoutError, ConnectionError):
        return b""
    finally:
        writer.close()


def asked(port: int, how: str, path: str, *, bent: bool) -> tuple[str, str]:
    """What a browser writes for a page of EVIL, which either calls our address, or was `bent` to
    it, as DNS can be.
    """
    method, more, body = REQUESTS[how]
    host = f"evil.test:{port}" if bent else f"127.0.0.1:{port}"
    origin = f"{EVIL}:{port}" if bent else EVIL
    # A bent page is of our origin to its browser, which names that only where it may change things.
    has_origin = not (bent and how == "a get")
    named = f"Origin: {origin}\r\n" if has_origin else ""
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{named}{more}", body


async def test_nothing_that_a_browser_sends_reaches_an_agent(fleet: Exposed) -> None:
    """Whatever the port, and whether the page calls our address or has bent its own name to it: it
    is refused or hung up on, and no answer lets a page read it.
    """
    for (name, port), how, bent in product(fleet.ports.items(), REQUESTS, (False, True)):
        path = PATHS.get(name, ASK)
        told = await answered(port, *asked(port, how, path, bent=bent))
        head = told.partition(b"\r\n\r\n")[0]
        what = f"{name}, {how}, bent: {bent}: {told[:200]!r}"
        assert b"access-control-allow-origin" not in head.lower(), what
        assert not head.startswith(b"HTTP/1.1 101"), what
        if name.endswith("http") or name == "edge":
            refused = [b" 403 ", b" 405 ", b" 421 ", b" 404 ", b" 415 "]
            # A plain get bears no Origin: where the name is ours nobody can tell it from a probe's,
            # and the page cannot read the answer.
            may = name.endswith("http") and how == "a get" and not bent
            assert any(code in head for code in refused) or (may and b" 200 " in head), what
        else:
            assert not head.startswith(b"HTTP/1"), what
    assert set((await fleet.calls()).values()) == {0}


@pytest.mark.real("chromium")
async def test_a_page_in_a_real_browser_reads_and_changes_nothing(fleet: Exposed) -> None:
    """Though it does read what another server of the machine tells everybody."""
    paths = {name: f":{port}{PATHS.get(name, ASK)}" for name, port in fleet.ports.items()}
    await _shown_the_page(paths)
    assert set((await fleet.calls()).values()) == {0}


@pytest.mark.real("chromium")
async def test_a_page_in_a_real_browser_gets_nothing_of_the_gateway(tmp_path: Path) -> None:
    """Of none of its faces, though it answers browsers."""
    probing = Probing()
    async with gateway(tmp_path, probing.agent) as it:
        port = urlsplit(it.url).port
        faces = ("/api/probe-probe/Echo", "/v1/models", "/v2/models", "/mcp", "/openapi.json")
        await _shown_the_page({path: f":{port}{path}" for path in (*faces, "/health")})
    assert probing.metadata == []


async def _shown_the_page(paths: Mapping[str, str]) -> None:
    """Tries all that a page can towards a port and path of this machine, by its address and by a
    name that was bent to it, and reads nothing.
    """
    chromium = demand("chromium")["chromium"]
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(short_folder())
        site = await stack.enter_async_context(evil_site())
        for name, path in paths.items():
            site.targets[name] = f"http://127.0.0.1{path}"
            site.targets[f"{name}, bent"] = f"http://bent.test{path}"
        site.targets["careless"] = f"http://127.0.0.1:{site.port}/careless"
        argv = (
            *(str(chromium), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-dev-shm-usage", f"--user-data-dir={folder}"),
            "--host-resolver-rules=MAP *.test 127.0.0.1",
            f"{EVIL}:{site.port}/",
        )
        known = {"HOME": str(folder), "PATH": os.defpath}
        command = Command(argv, folder / "log", env=known)
        await stack.enter_async_context(supervised_process(command))
        async with asyncio.timeout(120):
            found = dict(await site.found)
    assert found.pop("careless: get") == "read told everybody"
    read = {how: told for how, told in found.items() if told.startswith("read")}
    read = {how: told for how, told in read.items() if not how.startswith("careless")}
    assert read == {}
    assert len(found) > 10 * len(paths)
