"""Requests to a Consul agent, with a time limit, and repeated only where that does no harm.

Plain aiohttp instead of py-consul 1.8, whose transactions carry no token, whose token gives way to
a variable of the environment, and whose TLS context trusts the whole system besides our own CA.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.client_middlewares import ClientHandlerType
from tenacity import AsyncRetrying, retry_if_exception, stop_before_delay, wait_random_exponential

from tandemkit.core.clock import Clock, SystemClock
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.reach.server import Patience, TlsFiles

_CLOCK = SystemClock()
_RETRY_WAIT_S = 0.05
_RETRY_WAIT_S_MAX = 0.5
# Consul itself adds up to a sixteenth to the time that a blocking query waits.
_LONGER = 17 / 16
# What the caller understands: gone, and a transaction's refusal.
_ANSWERS = frozenset({HTTPStatus.OK, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT})
_UNKNOWN = "ACL not found"
_MAY_PASS = frozenset({HTTPStatus.TOO_MANY_REQUESTS, *range(500, 600)})


@dataclass(frozen=True, slots=True)
class ConsulSettings:
    """Where Consul is, and how long it may take. Secrets are paths, read when it is opened.

    Without a CA of ours those of the system are trusted. Two registries on one Consul need two
    values of `prefix`.
    """

    url: str = "http://127.0.0.1:8500"
    token_path: Path | None = None
    tls: TlsFiles = field(default_factory=TlsFiles)
    prefix: str = "tandem"
    patience: Patience = field(default_factory=Patience)
    # The longest that a blocking query stays open, and so that a cut goes unnoticed.
    poll_s: float = 5.0
    # How late the end of a lease may be noticed.
    sweep_every_s: float = 0.2
    # Consul takes 200 from one address; blocking queries have two more of their own.
    connections_max: int = 32
    # A watcher further behind than this gets a snapshot.
    changes_kept: int = 10_000


class TokenUnknown(Refused):
    """Consul has no such token: it is a wrong one, or Consul has just started and not read all of
    its own disk. Nothing was done, and the next seconds tell.
    """


class _NotSent(Unreachable):
    """No connection could be had, so Consul knows nothing of the request."""


@dataclass(frozen=True, slots=True)
class Request:
    """`again` says that doing it twice is as good as once. `wait_s` is a blocking query's."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    again: bool = False
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What Consul said; `index` is 0 where it named none."""

    status: int
    index: int
    content: bytes

    @property
    def found(self) -> bool:
        return self.status != HTTPStatus.NOT_FOUND

    def parsed(self) -> Any:
        return json.loads(self.content)


class ConsulHttp:
    """The one connection pool to an agent. What fails raises Unreachable or Refused."""

    def __init__(
        self, session: aiohttp.ClientSession, settings: ConsulSettings, clock: Clock
    ) -> None:
        self._session = session
        self.settings = settings
        self._patience = settings.patience
        self._clock = clock
        self._connections = asyncio.Semaphore(settings.connections_max)

    async def ask(self, request: Request) -> Answer:
        """The answer within our patience, waiting for a connection included: found, not found,
        or a refused transaction.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception(_harmless_again if request.again else _never_sent),
            wait=wait_random_exponential(multiplier=_RETRY_WAIT_S, max=_RETRY_WAIT_S_MAX),
            stop=stop_before_delay(self._patience.answer_s),
            sleep=self._clock.sleep,
            reraise=True,
        )
        try:
            async with asyncio.timeout(self._patience.answer_s), self._connections:
                return await retrying.wraps(self.ask_once)(request)
        except TimeoutError as error:
            raise Unreachable("consul gave no answer in time") from error

    async def ask_once(self, request: Request) -> Answer:
        """A single try, for as long as one may take, and what a blocking query waits."""
        limit_s = self._patience.try_s + request.wait_s * _LONGER
        try:
            async with (
                asyncio.timeout(limit_s),
                self._session.request(
                    request.method, request.path, params=request.query, json=request.body
                ) as response,
            ):
                content = await response.read()
        except aiohttp.ClientSSLError as error:
            raise Refused("no trust between us and consul", path=request.path) from error
        except aiohttp.ClientConnectorError as error:
            raise _NotSent("consul cannot be connected to") from error
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
                raise Refused("no trust between us and consul", path=request.path) from error
            raise Unreachable("consul gave no answer in time") from error
        answer = Answer(response.status, int(response.headers.get("X-Consul-Index", 0)), content)
        return _understood(request, answer)


@asynccontextmanager
async def connected(settings: ConsulSettings, clock: Clock = _CLOCK) -> AsyncIterator[ConsulHttp]:
    """A pool that opens connections as they are needed, and closes them on the way out."""
    headers, trust = await asyncio.to_thread(_credentials, settings)
    connector = aiohttp.TCPConnector(ssl=trust, limit=0)
    async with aiohttp.ClientSession(
        settings.url,
        connector=connector,
        headers=headers,
        middlewares=(_sent_at_most_once,),
        # Our own limit holds each try; a blocking query needs more than the default allows.
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:
        yield ConsulHttp(session, settings, clock)


async def _sent_at_most_once(
    request: aiohttp.ClientRequest, handler: ClientHandlerType
) -> aiohttp.ClientResponse:
    """Aiohttp repeats any PUT whose connection breaks, and every write to Consul is a PUT. What
    is raised from here it does not repeat.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientSSLError, aiohttp.ClientConnectorError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if isinstance(error.__cause__, ssl.SSLError):
            raise Refused("no trust between us and consul", path=request.url.path) from error
        raise Unreachable("consul broke the connection") from error


def _credentials(settings: ConsulSettings) -> tuple[dict[str, str], ssl.SSLContext | bool]:
    headers = {}
    if settings.token_path is not None:
        headers["X-Consul-Token"] = settings.token_path.read_text().strip()
    return headers, settings.tls.context() or True


def _understood(request: Request, answer: Answer) -> Answer:
    if answer.status in _ANSWERS:
        return answer
    said = answer.content.decode(errors="replace").strip()
    if answer.status in _MAY_PASS:
        raise Unreachable("consul cannot answer now", said=said)
    if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        if _UNKNOWN in said:
            raise TokenUnknown("consul does not know the token", path=request.path, said=said)
        raise Refused("consul denied the token", path=request.path, said=said)
    raise Refused("consul refused the request", path=request.path, said=said)


def _harmless_again(error: BaseException) -> bool:
    return isinstance(error, (Unreachable, TokenUnknown))


def _never_sent(error: BaseException) -> bool:
    return isinstance(error, (_NotSent, TokenUnknown))
