"""A connection to one Redis server: how it is reached, and what is tried again after a failure."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterError,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as LinkError
from redis.exceptions import TimeoutError as LateError
from tenacity import AsyncRetrying, retry_if_exception, stop_before_delay, wait_random_exponential

from tandemkit.core.clock import Clock, SystemClock
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.reach.server import Patience, TlsFiles

T = TypeVar("T")
Call = Callable[[Redis], Awaitable[T]]

_CLOCK = SystemClock()
_WAIT_S = 0.05
_WAIT_S_MAX = 0.5
_DENIALS = (AuthenticationError, AuthorizationError, NoPermissionError)
# States that pass: a replica that may be promoted, a cluster that moves, a script that runs, a disk
# that is full. Where a script meets one, only the text tells.
_PASSING = (ReadOnlyError, NoScriptError, ClusterError, TryAgainError)
_PASSING_WORDS = ("BUSY ", "MISCONF ", "NOREPLICAS ", "READONLY ", "UNKILLABLE ")


@dataclass(frozen=True, slots=True)
class RedisServer:
    """Where Redis is, and how long it may take. Secrets are paths, read at each connect.

    `socket` goes before `host` and `port`; a CA turns TLS on. Two fleets on one server need two
    values of `prefix`.
    """

    host: str = "127.0.0.1"
    port: int = 6379
    socket: Path | None = None
    user: str = "default"
    password_path: Path | None = None
    tls: TlsFiles = field(default_factory=TlsFiles)
    prefix: str = "tandem"
    patience: Patience = field(default_factory=Patience)


class _NotSent(Exception):
    """No connection could be had, so the server knows nothing of the call."""


class _Password(CredentialProvider):
    """Reads the file at each connect, so a new password needs no restart."""

    def __init__(self, user: str, path: Path) -> None:
        self._user = user
        self._path = path

    def get_credentials(self) -> tuple[str, str]:
        return self._user, self._path.read_text().strip()

    async def get_credentials_async(self) -> tuple[str, str]:
        return await asyncio.to_thread(self.get_credentials)


class RedisConnection:
    """Makes calls within a time limit, and turns every failure into Unreachable or Refused."""

    def __init__(self, server: RedisServer, clock: Clock = _CLOCK) -> None:
        self._patience = server.patience
        self._clock = clock
        self._redis = _client(server)

    async def again(self, call: Call[T], within_s: float | None = None) -> T:
        """For what does no harm twice: whatever fails is tried again until the time is up."""

        async def attempt() -> T:
            return await call(self._redis)

        return await self._tried(attempt, _may_pass, within_s)

    async def once(self, call: Call[T]) -> T:
        """For what must not happen twice: tried again only while it surely did not happen."""

        async def attempt() -> T:
            async with self._connected() as redis:
                return await call(redis)

        return await self._tried(attempt, _surely_not_done, None)

    async def following(self, follow: Call[None]) -> None:
        """For what listens for as long as it can: no limit of time, and no other try."""
        try:
            await follow(self._redis)
        except (RedisError, OSError) as error:
            if refusal := _refusal(error):
                raise refusal from error
            raise Unreachable("the connection to redis ended") from error

    async def aclose(self) -> None:
        await self._redis.aclose()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Redis]:
        redis = self._redis.client()
        try:
            await redis.initialize()
        except (RedisError, OSError) as error:
            raise _NotSent from error
        try:
            yield redis
        finally:
            await redis.aclose()

    async def _tried(
        self,
        attempt: Callable[[], Awaitable[T]],
        again: Callable[[BaseException], bool],
        within_s: float | None,
    ) -> T:
        limit_s = within_s or self._patience.answer_s

        async def one_try() -> T:
            try:
                async with asyncio.timeout(self._patience.try_s):
                    return await attempt()
            except (_NotSent, RedisError, OSError) as error:
                if refusal := _refusal(error):
                    raise refusal from error
                raise

        retrying = AsyncRetrying(
            retry=retry_if_exception(again),
            wait=wait_random_exponential(multiplier=_WAIT_S, max=_WAIT_S_MAX),
            stop=stop_before_delay(limit_s),
            sleep=self._clock.sleep,
            reraise=True,
        )
        try:
            async with asyncio.timeout(limit_s):
                return await retrying.wraps(one_try)()
        except (_NotSent, RedisError, OSError) as error:
            raise Unreachable("redis gave no answer in time") from error


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, (LinkError, LateError, ReadOnlyError, OSError))


def _surely_not_done(error: BaseException) -> bool:
    # The last two are refusals: a server that reads its journal still, or a replica.
    return isinstance(error, (_NotSent, BusyLoadingError, ReadOnlyError))


def _refusal(error: BaseException) -> Refused | None:
    """What the server or we will say again, however often it is tried; None where it may pass."""
    told: BaseException | None = error
    while told is not None:
        if isinstance(told, ssl.SSLError):
            return Refused("no trust between us and redis")
        if isinstance(told, _DENIALS):
            return Refused("redis denied the login or the command", said=str(told))
        if isinstance(told, ResponseError) and not _may_change(told):
            return Refused("redis refused the command", said=str(told))
        # redis-py raises its own errors while it handles those of the socket.
        told = told.__cause__ or told.__context__
    return None


def _may_change(error: ResponseError) -> bool:
    return isinstance(error, _PASSING) or any(word in str(error) for word in _PASSING_WORDS)


def _client(server: RedisServer) -> Redis:
    path = server.password_path
    return Redis(
        host=server.host,
        port=server.port,
        unix_socket_path=str(server.socket) if server.socket else None,
        credential_provider=_Password(server.user, path) if path else None,
        ssl=server.tls.ca_path is not None,
        ssl_ca_certs=_text(server.tls.ca_path),
        ssl_certfile=_text(server.tls.certificate_path),
        ssl_keyfile=_text(server.tls.key_path),
        # Its timeout is asyncio.wait_for, which on Python 3.11 can lose a cancellation that comes
        # as the call ends; `one_try` has its own.
        socket_timeout=None,
        socket_connect_timeout=server.patience.try_s,
        # Its own retries would also repeat what must not happen twice.
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )


def _text(path: Path | None) -> str | None:
    return str(path) if path else None
