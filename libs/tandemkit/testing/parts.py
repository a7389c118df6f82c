"""Real parts under test: an absent one skips and says how to get it, or fails where demanded."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tandemkit.cli.parts import BY_NAME, find
from tandemkit.core.environment import Environment

_HTTP_TIMEOUT_S = 5.0


def demand(name: str, environment: Environment | None = None) -> Mapping[str, Path]:
    """The programs of the part. Skips the test where it is absent, and fails it where
    TANDEM_REQUIRE names the part.
    """
    part = BY_NAME[name]
    known = environment or Environment.read()
    if found := find(part, known):
        return found
    absent = f"{name} is absent: {part.how_to_get}"
    if known.requires(name):
        pytest.fail(f"TANDEM_REQUIRE demands a part, and {absent}", pytrace=False)
    pytest.skip(absent)


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a unix socket's name, unlike a test's own."""
    with tempfile.TemporaryDirectory(prefix="tandem-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def free_ports(count: int) -> tuple[int, ...]:
    """Ports of 127.0.0.1 that were free, for servers that cannot take port 0."""
    with ExitStack() as held:
        listening = [
            held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return tuple(one.getsockname()[1] for one in listening)


async def fetch(
    url: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The body of a good answer; OSError, which HTTP failures are too, for any other."""
    request = urllib.request.Request(url, body, dict(headers or {}), method=method)  # noqa: S310 - loopback
    return await asyncio.to_thread(_open, request)


def _open(request: urllib.request.Request) -> bytes:
    # Without the environment's proxies: these servers are our own, on this machine.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=_HTTP_TIMEOUT_S) as answer:
        found: bytes = answer.read()
        return found
