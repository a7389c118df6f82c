"""What counts as well, over each protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tandemkit.core.errors import Failure
from tandemkit.reach.allowed import Allowed, Forbidden
from tandemkit.reach.probes import BadUrl, Target, Unwell, probe

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def answering(answer: bytes | None, heads: list[bytes]) -> AsyncIterator[int]:
    """A server that says this whatever it is asked, or nothing, and notes what it was asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        if answer is not None:
            writer.write(answer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def ask(url: str, within_s: float = 5.0) -> None:
    await probe(url, Allowed(), within_s)


async def test_http_is_well_with_a_status_of_success() -> None:
    """It is asked for the path and by the name of the URL."""
    heads: list[bytes] = []
    async with answering(GOOD, heads) as port:
        await ask(f"http://localhost:{port}/health?deep=1")
    lines = heads[0].decode().split("\r\n")
    assert lines[:2] == ["GET /health?deep=1 HTTP/1.1", f"Host: localhost:{port}"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 503 Busy\r\n\r\n", "status='503'"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", "status='302'"),
        (b"SSH-2.0-x\r\n", "does not speak HTTP"),
        (b"x" * 100_000, "does not speak HTTP"),
        (b"", "does not speak HTTP"),
    ],
)
async def test_anything_else_is_not(answer: bytes, why: str) -> None:
    """A redirect would lead where nobody looked, so it is not followed."""
    async with answering(answer, []) as port:
        with pytest.raises(Unwell, match=why):
            await ask(f"http://127.0.0.1:{port}")


async def test_silence_ends_in_time() -> None:
    """As does a port on which nobody listens."""
    async with answering(None, []) as port:
        with pytest.raises(Unwell, match="in time"):
            await ask(f"http://127.0.0.1:{port}", within_s=0.05)
        await ask(f"tcp://127.0.0.1:{port}")
    for scheme in ("http", "tcp", "grpc", "https"):
        with pytest.raises(Unwell):
            await ask(f"{scheme}://127.0.0.1:{port}")


async def test_grpc_is_well_while_its_health_says_so() -> None:
    """Of one service, or of the whole server."""
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        await ask(f"grpc://127.0.0.1:{port}")
        with pytest.raises(Unwell, match="NOT_FOUND"):
            await ask(f"grpc://127.0.0.1:{port}/models.Tell")
        await servicer.set("models.Tell", health_pb2.HealthCheckResponse.SERVING)
        await ask(f"grpc://127.0.0.1:{port}/models.Tell")
        await servicer.set("models.Tell", health_pb2.HealthCheckResponse.NOT_SERVING)
        with pytest.raises(Unwell, match="does not serve"):
            await ask(f"grpc://127.0.0.1:{port}/models.Tell")
    finally:
        await server.stop(None)


async def test_where_policy_forbids_nobody_is_asked() -> None:
    """Before a connection is made."""
    with pytest.raises(Forbidden):
        await ask("http://169.254.169.254/latest/meta-data/")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1:1/",
        "http://",
        "http://user:word@127.0.0.1/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\r\nX-Evil: 1",
        "http://127.0.0.1/#here",
        "tcp://127.0.0.1",
        "127.0.0.1:80",
        "",
    ],
)
async def test_a_url_that_is_none_is_refused(url: str) -> None:
    """A line break, which would write a second request, among them."""
    with pytest.raises(BadUrl):
        await ask(url)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [("https://a.example", "a.example", 443), ("http://[::1]/x", "::1", 80)],
)
def test_a_url_says_where(url: str, host: str, port: int) -> None:
    """With the port of its scheme where it names none."""
    target = Target.of(url)
    assert (target.host, target.port) == (host, port)


def test_failures_are_understood() -> None:
    """Whoever asks again and again catches one kind."""
    assert issubclass(Unwell, Failure)
    assert issubclass(BadUrl, Failure)
