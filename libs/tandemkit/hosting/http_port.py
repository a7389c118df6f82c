"""A small HTTP port for people, probes and Prometheus: one request a connection, nothing to send.

Any web page can reach a loopback port, so only requests that name this host by one of its own
names are answered, and none that a page of another origin makes: docs/design/hosts.md.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import socket
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from tandemkit.core import log
from tandemkit.core.errors import Failure
from tandemkit.supervise.errands import Errands

HEAD_BYTES_MAX = 8192
# A request comes, and its answer is taken, within this; more callers than this do not wait.
WITHIN_S = 5.0
CONNECTIONS_MAX = 32
_HOST = re.compile(r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{1,5})?")
_LOGGER = logging.getLogger("tandemkit.hosting")
_PORT_MAX = 65535
_METHODS = ("GET", "HEAD")


class HttpRefused(Failure):
    """The port cannot be opened; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page says."""

    status: HTTPStatus
    body: str
    media_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    headers: Mapping[str, str]


# From the path and the Accept header.
Pages = Callable[[str, str], Answer]


def listening(address: str) -> socket.socket:
    """Held from now on, so that nobody else takes it before the host answers there. Port 0 is the
    kernel's choice. Raises HttpRefused.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > _PORT_MAX:
        raise HttpRefused("an HTTP address is of the form host:port", address=address)
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, int(port)), family=family)
    except OSError as error:
        raise HttpRefused("the HTTP address cannot be listened on", address=address) from error


def address_of(held: socket.socket) -> str:
    """As it stands in a URL."""
    host, port = held.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@asynccontextmanager
async def http_port(
    held: socket.socket, pages: Pages, names: Collection[str]
) -> AsyncIterator[None]:
    """Answers inside of the block. `names` are those of this host besides the loopback ones and the
    address that it listens on.
    """
    guard, errands = Guard.of(held, pages, names), Errands()
    open_now: set[asyncio.StreamWriter] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _answer(guard, reader, writer)
        finally:
            open_now.discard(writer)
            writer.transport.abort()

    def came(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(open_now) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        open_now.add(writer)
        errands.start(answer(reader, writer))

    server = await asyncio.start_server(came, sock=held, limit=HEAD_BYTES_MAX)
    log.event(_LOGGER, logging.INFO, "http.serving", address=address_of(held))
    try:
        yield
    finally:
        server.close()
        await errands.end(0)
        await server.wait_closed()


async def _answer(guard: Guard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request. A caller that is slow, hangs up or never says anything is let go."""
    # So that `drain` returns when all is sent.
    writer.transport.set_write_buffer_limits(high=0)
    try:
        async with asyncio.timeout(WITHIN_S):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError:
                writer.write(too_large())
            else:
                writer.write(guard.reply(head))
            await writer.drain()
            # Else what the caller sent beyond its request would take the answer away from it.
            writer.write_eof()
            while await reader.read(HEAD_BYTES_MAX):
                pass
    except (TimeoutError, OSError, asyncio.IncompleteReadError):
        return


class Guard:
    """Refuses what none of the pages should ever see."""

    def __init__(self, pages: Pages, names: Collection[str]) -> None:
        self._pages = pages
        self._names = {"localhost", *(name.lower() for name in names if name)}

    @classmethod
    def of(cls, held: socket.socket, pages: Pages, names: Collection[str]) -> Guard:
        """Of a port whose own address is a name of its host too."""
        return cls(pages, {*names, str(held.getsockname()[0])})

    def reply(self, head: bytes) -> bytes:
        """What is sent back to a request, which ends with an empty line."""
        request = _parsed(head.decode("latin-1"))
        found = self._answer(request) if request else _said(HTTPStatus.BAD_REQUEST)
        return _wire(found, has_body=request is None or request.method != "HEAD")

    def _answer(self, request: _Request) -> Answer:
        if not self._is_own(request.headers.get("host", "")):
            return _said(HTTPStatus.MISDIRECTED_REQUEST)
        if "origin" in request.headers:
            return _said(HTTPStatus.FORBIDDEN)
        if request.method not in _METHODS:
            return _said(HTTPStatus.METHOD_NOT_ALLOWED)
        return self._pages(request.path, request.headers.get("accept", ""))

    def _is_own(self, host: str) -> bool:
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        name = found["six"] or found["name"]
        try:
            return name in self._names or ipaddress.ip_address(name).is_loopback
        except ValueError:  # a name, of somebody else
            return False


def too_large() -> bytes:
    """What is sent back to a request that does not end."""
    return _wire(_said(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE), has_body=True)


def _parsed(head: str) -> _Request | None:
    """None for what is no HTTP/1 request, or says two things at once."""
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    method, _, rest = first.partition(" ")
    target, _, version = rest.partition(" ")
    if version not in {"HTTP/1.0", "HTTP/1.1"} or not target.startswith("/"):
        return None
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or name != name.strip() or (name == "host" and name in headers):
            return None
        headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
    return _Request(method, target.partition("?")[0], headers)


def _said(status: HTTPStatus) -> Answer:
    return Answer(status, f"{status.value} {status.phrase}\n")


def _wire(answer: Answer, *, has_body: bool) -> bytes:
    body = answer.body.encode()
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.media_type}",
        f"Content-Length: {len(body)}",
        f"Allow: {', '.join(_METHODS)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + (body if has_body else b"")
