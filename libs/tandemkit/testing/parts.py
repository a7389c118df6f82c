"""Real parts under test: an absent one skips and says how to get it, or fails where demanded."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from itertools import count, islice
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import pytest

from tandemkit.cli.parts import BY_NAME, find
from tandemkit.core.environment import Environment

_HTTP_TIMEOUT_S = 5.0
# Below what Linux gives to outgoing connections. Each process begins at another one.
_PORTS = range(16_000, 32_000)
_CANDIDATES = (_PORTS[number % len(_PORTS)] for number in count(os.getpid() * 97))


def demand(name: str, environment: Environment | None = None) -> Mapping[str, Path]:
    """The programs of the part. Skips the test where it is absent, and fails it where
    TANDEM_REQUIRE names the part.
    """
    part = BY_NAME[name]
    known = environment or Environment.read()
    if found := find(part, known):
        return found
    absent = f"{name} is absent: {part.how_to_get}"
    if known.requires(name, slow=part.slow):
        pytest.fail(f"TANDEM_REQUIRE demands a part, and {absent}", pytrace=False)
    pytest.skip(absent)


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a unix socket's name, unlike a test's own."""
    with tempfile.TemporaryDirectory(prefix="tandem-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def free_ports(number: int) -> tuple[int, ...]:
    """Ports of 127.0.0.1 that were free, for servers that cannot take port 0.

    None comes twice in a process, and none is of the kernel's own choosing: between here and the
    server's start it gives those to whoever connects somewhere.
    """
    free = (port for port in _CANDIDATES if _is_free(port))
    return tuple(islice(free, number))


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


async def fetch(
    url: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The body of a good answer; OSError for anything else. Heeds no proxy: servers are our own."""
    return await asyncio.to_thread(_fetch, urlsplit(url), method, body, dict(headers or {}))


def _fetch(url: SplitResult, method: str, body: bytes | None, headers: dict[str, str]) -> bytes:
    connection = HTTPConnection(url.netloc, timeout=_HTTP_TIMEOUT_S)
    try:
        connection.request(method, url._replace(scheme="", netloc="").geturl(), body, headers)
        answer = connection.getresponse()
        content = answer.read()
    except HTTPException as error:
        raise ConnectionError(f"no HTTP answer from {url.netloc}") from error
    finally:
        connection.close()
    if answer.status not in range(200, 300):
        raise ConnectionError(f"{method} {url.path} answered {answer.status}")
    return content
