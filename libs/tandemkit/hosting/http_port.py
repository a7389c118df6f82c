"""A small HTTP port for people, probes and Prometheus: one request a connection. What may be sent
to it is small too, and asks for the token.

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
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar

from tandemkit.core import log
from tandemkit.core.errors import Failure
from tandemkit.core.redaction import redacted
from tandemkit.supervise.errands import Errands

HEAD_BYTES_MAX = 8192
BODY_BYTES_MAX = 65536
# A request comes, and its answer is taken, within this; more callers than this do not wait.
WITHIN_S = 5.0
CONNECTIONS_MAX = 32
_HOST = re.compile(r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{1,5})?")
_LOGGER = logging.getLogger("tandemkit.hosting")
_PORT_MAX = 65535
_LENGTH_DIGITS_MAX = 18
_METHODS = ("GET", "HEAD", "POST")
Found = TypeVar("Found")


class HttpRefused(Failure):
    """The port cannot be opened; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page says."""

    status: HTTPStatus
    body: str
    media_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """Names of headers are of lower case."""

    method: str
    path: str
    headers: Mapping[str, str]


# From the path and the Accept header.
Pages = Callable[[str, str], Answer]
# From what was sent, and its body.
Posts = Callable[[Request, bytes], Answer]


@dataclass(frozen=True, slots=True)
class Paths:
    """What agents show, and what may be sent to them, by the path that it begins with."""

    pages: dict[str, Pages] = field(default_factory=dict)
    posts: dict[str, Posts] = field(default_factory=dict)


def below(path: str, beginnings: Mapping[str, Found]) -> Found | None:
    """Whose path it is."""
    for beginning, found in beginnings.items():
        if path == beginning or path.startswith(f"{beginning}/"):
            return found
    return None


def refuse_posts(_request: Request, _body: bytes) -> Answer:
    """Of a port to which nothing is sent."""
    return said(HTTPStatus.METHOD_NOT_ALLOWED)


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
    held: socket.socket, pages: Pages, names: Collection[str], posts: Posts = refuse_posts
) -> AsyncIterator[None]:
    """Answers inside of the block. `names` are those of this host besides the loopback ones and the
    address that it listens on.
    """
    guard, errands = Guard.of(held, pages, names, posts), Errands()
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
                body = await reader.readexactly(guard.body_bytes(head))
                writer.write(guard.reply(head, body))
            await writer.drain()
            # Else what the caller sent beyond its request would take the answer away from it.
            writer.write_eof()
            while await reader.read(HEAD_BYTES_MAX):
                pass
    except (TimeoutError, OSError, asyncio.IncompleteReadError):
        return


class Guard:
    """Refuses what none of the pages should ever see."""

    def __init__(self, pages: Pages, names: Collection[str], posts: Posts = refuse_posts) -> None:
        self._pages, self._posts = pages, posts
        self._names = {"localhost", *(name.lower() for name in names if name)}

    @classmethod
    def of(
        cls,
        held: socket.socket,
        pages: Pages,
        names: Collection[str],
        posts: Posts = refuse_posts,
    ) -> Guard:
        """Of a port whose own address is a name of its host too."""
        return cls(pages, {*names, str(held.getsockname()[0])}, posts)

    def body_bytes(self, head: bytes) -> int:
        """How much of a body is worth reading: none of what is refused for its head."""
        request = _parsed(head.decode("latin-1"))
        return 0 if request is None or self._refused(request) else _length(request) or 0

    def reply(self, head: bytes, body: bytes = b"") -> bytes:
        """What is sent back to a request, whose head ends with an empty line."""
        request = _parsed(head.decode("latin-1"))
        found = self._answer(request, body) if request else said(HTTPStatus.BAD_REQUEST)
        return _wire(found, has_body=request is None or request.method != "HEAD")

    def _refused(self, request: Request) -> HTTPStatus | None:
        if not self._is_own(request.headers.get("host", "")):
            return HTTPStatus.MISDIRECTED_REQUEST
        if "origin" in request.headers:
            return HTTPStatus.FORBIDDEN
        if request.method not in _METHODS:
            return HTTPStatus.METHOD_NOT_ALLOWED
        if request.method != "POST":
            return None
        length = _length(request)
        if length is None:
            return HTTPStatus.LENGTH_REQUIRED
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE if length > BODY_BYTES_MAX else None

    def _answer(self, request: Request, body: bytes) -> Answer:
        if refused := self._refused(request):
            return said(refused)
        if request.method == "POST":
            return self._posts(request, body)
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
    return _wire(said(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE), has_body=True)


def _parsed(head: str) -> Request | None:
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
    return Request(method, target.partition("?")[0], headers)


def _length(request: Request) -> int | None:
    """None where it is not told, or told in a way that we do not read."""
    told = request.headers.get("content-length", "")
    if "transfer-encoding" in request.headers or not (told.isascii() and told.isdecimal()):
        return None
    return int(told) if len(told) <= _LENGTH_DIGITS_MAX else BODY_BYTES_MAX + 1


def said(status: HTTPStatus) -> Answer:
    """No more than the status."""
    return Answer(status, f"{status.value} {status.phrase}\n")


def _wire(answer: Answer, *, has_body: bool) -> bytes:
    # Who reaches the port reads it: agents may show pages of their own.
    body = redacted(answer.body).encode()
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.media_type}",
        f"Content-Length: {len(body)}",
        f"Allow: {', '.join(_METHODS)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        *(f"{name}: {value}" for name, value in answer.headers),
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + (body if has_body else b"")
