"""Fetches a file: each hop is allowed, each address it goes to is, and so much of it is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from services.gateway.web.addresses import Doorman
from services.gateway.web.sites import Sites, joined, parsed
from tandem.gateway.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.reach.allowed import Network

_WITHIN_S = 20.0
_HEAD_BYTES_MAX = 16_384
_RETRY_S = 1.0
_PERMANENT = frozenset({HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT})
_SENT_ON = _PERMANENT | {HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FOUND, HTTPStatus.SEE_OTHER}
_SAYS = {"User-Agent": "Tandem", "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """`within_s` is for the whole way of one file."""

    sites: Sites
    networks: tuple[Network, ...] = ()
    file_bytes_max: int = 3 * 1024 * 1024
    redirects_max: int = 5
    within_s: float = _WITHIN_S


@dataclass(frozen=True, slots=True)
class Sent:
    """What a form sends."""

    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class File:
    url: str
    status: int
    # As its server says, with its parameters.
    content_type: str
    content: bytes
    redirects: tuple[str, ...] = ()


@dataclass
class Visit:
    """One caller's: cookies that a site gives are told to it again, and to nobody else."""

    bounds: Bounds
    session: aiohttp.ClientSession
    doorman: Doorman
    _way: list[str] = field(default_factory=list)

    async def fetch(self, url: str, sent: Sent | None = None) -> File:
        """Raises CallerError and TransientError."""
        self._way = []
        self.doorman.refused.clear()
        target = parsed(url)
        site = target.authority
        try:
            async with asyncio.timeout(self.bounds.within_s):
                return await self._fetched(target, sent)
        except TimeoutError as error:
            reason, said = errors.ERROR_REASON_SITE_LATE, "the site did not answer in time"
            within_s = self.bounds.within_s
            raise TransientError(
                reason, said, retry_after_s=_RETRY_S, site=site, within_s=within_s
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            if self.doorman.refused:
                raise CallerError(
                    errors.ERROR_REASON_ADDRESS_REFUSED,
                    "the site is at an address that is not of the public internet; `networks` of "
                    "gateway-web's settings names those that may be reached all the same",
                    field="url",
                    site=site,
                ) from error
            reason, said = errors.ERROR_REASON_SITE_UNREACHABLE, "the site cannot be reached"
            cause = type(error).__name__
            raise TransientError(
                reason, said, retry_after_s=_RETRY_S, site=site, cause=cause
            ) from error

    async def _fetched(self, url: URL, sent: Sent | None) -> File:
        for _ in range(self.bounds.redirects_max + 1):
            self.bounds.sites.check(url, self._way[-1] if self._way else "")
            async with self._asked(url, sent) as answer:
                target = answer.headers.get("Location", "")
                if answer.status not in _SENT_ON or not target:
                    content = await self._content(answer)
                    # What is no text in it, no message could hold.
                    told = answer.headers.get("Content-Type", "").encode("ascii", "replace")
                    return File(str(url), answer.status, told.decode(), content, tuple(self._way))
            self._way.append(str(url))
            # As browsers do: what was sent is sent on by the two that say so.
            sent = sent if answer.status in _PERMANENT else None
            url = parsed(joined(str(url), target.strip()))
        raise CallerError(
            errors.ERROR_REASON_REDIRECTS_TOO_MANY,
            "the page sends on and on",
            field="url",
            redirects_max=self.bounds.redirects_max,
        )

    def _asked(
        self, url: URL, sent: Sent | None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers: Mapping[str, str] = {"Content-Type": sent.media_type} if sent else {}
        method, content = ("POST", sent.content) if sent else ("GET", None)
        return self.session.request(
            method, url, data=content, headers=headers, allow_redirects=False
        )

    async def _content(self, answer: aiohttp.ClientResponse) -> bytes:
        """Counted as it is unpacked."""
        content, most = bytearray(), self.bounds.file_bytes_max
        async for part in answer.content.iter_any():
            content += part
            if len(content) > most:
                answer.close()
                raise CallerError(
                    errors.ERROR_REASON_FILE_TOO_LARGE,
                    "the file is larger than the settings of this agent allow",
                    field="url",
                    bytes_max=most,
                )
        return bytes(content)


@asynccontextmanager
async def visit(bounds: Bounds, resolver: AbstractResolver | None = None) -> AsyncIterator[Visit]:
    """Connections of its own, so that none which another caller made is taken for a new one."""
    doorman = Doorman(bounds.networks)
    connector = aiohttp.TCPConnector(
        use_dns_cache=False, resolver=resolver, socket_factory=doorman.socket
    )
    async with aiohttp.ClientSession(
        connector=connector,
        headers=_SAYS,
        cookie_jar=aiohttp.CookieJar(unsafe=False),
        timeout=aiohttp.ClientTimeout(total=None),
        max_line_size=_HEAD_BYTES_MAX,
        max_field_size=_HEAD_BYTES_MAX,
        trust_env=False,
    ) as session:
        yield Visit(bounds, session, doorman)
