"""Whether something answers at a URL, asked as its own protocol asks: HTTP, TCP, gRPC's health."""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandemkit.core.errors import Failure
from tandemkit.reach.allowed import Allowed

# Printable ASCII without blanks: whatever goes into a request's head stays in its line.
_PLAIN = re.compile(r"[!-~]{1,2048}")
_PORTS = {"http": 80, "https": 443}
_SCHEMES = frozenset({*_PORTS, "tcp", "grpc"})
_LINE_BYTES_MAX = 4096
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?\r?\n")
_GOOD = range(200, 300)


class BadUrl(Failure):
    """Nothing can be asked at such a URL."""


class Unwell(Failure):
    """It did not answer, or not that it is well."""


@dataclass(frozen=True, slots=True)
class Target:
    """`http://host:port/path`, `https:` likewise, `tcp://host:port`, `grpc://host:port/service`."""

    scheme: str
    host: str
    port: int
    rest: str

    @classmethod
    def of(cls, url: str) -> Target:
        """Raises BadUrl."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise BadUrl("not a URL") from error
        if _PLAIN.fullmatch(url) is None or parts.fragment or "@" in parts.netloc:
            raise BadUrl("a URL of printable ASCII, without a user and without a fragment")
        if parts.scheme not in _SCHEMES or not parts.hostname:
            raise BadUrl("http, https, tcp or grpc, and the name of a host", scheme=parts.scheme)
        port = port or _PORTS.get(parts.scheme, 0)
        if not port:
            raise BadUrl("a port is needed", scheme=parts.scheme)
        query = f"?{parts.query}" if parts.query else ""
        return cls(parts.scheme, parts.hostname, port, f"{parts.path}{query}")

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


async def probe(url: str, allowed: Allowed, within_s: float) -> None:
    """Returns where it is well. Raises Unwell, BadUrl, Forbidden, and Unreachable for a name that
    leads nowhere. Redirects are not followed: they would lead where nobody looked.
    """
    target = Target.of(url)
    try:
        async with asyncio.timeout(within_s):
            # The first address decides: the rest are for clients that try them in turn.
            number = (await allowed.numbers(target.host))[0]
            await _ASKED[target.scheme](target, number)
    except TimeoutError as error:
        raise Unwell("it does not answer in time", within_s=within_s) from error
    except OSError as error:
        cause = error.strerror or type(error).__name__
        raise Unwell("it cannot be reached", cause=cause) from error


async def _tcp(target: Target, number: str) -> None:
    _, writer = await asyncio.open_connection(number, target.port)
    writer.close()


async def _http(target: Target, number: str) -> None:
    is_tls = target.scheme == "https"
    reader, writer = await asyncio.open_connection(
        number,
        target.port,
        limit=_LINE_BYTES_MAX,
        ssl=ssl.create_default_context() if is_tls else None,
        server_hostname=target.host if is_tls else None,
    )
    try:
        path = target.rest if target.rest.startswith("/") else f"/{target.rest}"
        head = f"GET {path} HTTP/1.1\r\nHost: {target.authority}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode("ascii"))
        await writer.drain()
        line = await _line(reader)
    finally:
        writer.transport.abort()
    found = _STATUS.fullmatch(line)
    if found is None:
        raise Unwell("it does not speak HTTP")
    if int(found[1]) not in _GOOD:
        raise Unwell("it answers that it is not well", status=found[1].decode())


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError as error:
        raise Unwell("it does not speak HTTP") from error


async def _grpc(target: Target, number: str) -> None:
    at = f"[{number}]" if ":" in number else number
    request = health_pb2.HealthCheckRequest(service=target.rest.strip("/"))
    # The number was checked; a proxy would look where it pleases.
    direct = (("grpc.enable_http_proxy", 0),)
    async with grpc.aio.insecure_channel(f"{at}:{target.port}", direct) as channel:
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(request)
        except grpc.aio.AioRpcError as error:
            raise Unwell("it does not say that it serves", code=error.code().name) from error
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise Unwell("it says that it does not serve", status=answer.status)


_ASKED = {"tcp": _tcp, "http": _http, "https": _http, "grpc": _grpc}
