"""Real stores for a test's lifetime: Redis, PostgreSQL with pgvector, NATS with JetStream."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tandemkit.supervise.processes import (
    Command,
    Process,
    ProcessFailure,
    run_process,
    supervised_process,
)
from tandemkit.testing.moved_clock import moved_clock
from tandemkit.testing.parts import demand, short_folder


@dataclass(frozen=True, slots=True)
class RedisServer:
    """An empty Redis that keeps nothing on disk."""

    socket: Path
    log_path: Path


class DurableRedis:
    """A Redis that has on disk what it has answered, and goes on from there after a kill."""

    def __init__(self, program: Path, folder: Path, offset: Path | None, password: str) -> None:
        self.socket = folder / "redis.sock"
        listen = ("--port", "0", "--unixsocket", str(self.socket))
        keep_all = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")
        guard = ("--requirepass", password) if password else ()
        argv = (str(program), *listen, *keep_all, *guard, "--dir", str(folder))
        variables = moved_clock(offset) if offset else None
        self._command = Command(argv, folder / "log", env=variables)
        self._running = AsyncExitStack()
        self._process: Process | None = None

    async def start(self) -> None:
        """Returns once it answers."""
        started = supervised_process(self._command, ready=partial(_answers_ping, self.socket))
        self._process = await self._running.enter_async_context(started)

    async def kill(self) -> None:
        """As kill -9 does: nobody is told."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self.stop()

    def freeze(self) -> None:
        """It neither answers nor closes anything, and all that is sent waits for it."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """It answers what has waited, and sees how late it is."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)

    async def stop(self) -> None:
        await self._running.aclose()


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """An empty PostgreSQL; every local user is its superuser `postgres`."""

    socket_dir: Path
    log_path: Path

    @property
    def dsn(self) -> str:
        """For libpq."""
        return f"host={self.socket_dir} user=postgres dbname=postgres"


@dataclass(frozen=True, slots=True)
class NatsServer:
    """A NATS server with JetStream, whose streams end with it."""

    url: str
    log_path: Path


@asynccontextmanager
async def redis_server() -> AsyncIterator[RedisServer]:
    """Skips where Redis is absent."""
    program = demand("redis")["redis-server"]
    with short_folder() as folder:
        server = RedisServer(folder / "redis.sock", folder / "log")
        listen = ("--port", "0", "--unixsocket", str(server.socket))
        keep_nothing = ("--save", "", "--appendonly", "no", "--dir", str(folder))
        command = Command((str(program), *listen, *keep_nothing), server.log_path)
        async with supervised_process(command, ready=partial(_answers_ping, server.socket)):
            yield server


@asynccontextmanager
async def durable_redis_server(
    offset: Path | None = None, password: str = ""
) -> AsyncIterator[DurableRedis]:
    """Skips where Redis is absent. Its wall clock is off by what the file `offset` says, such as
    +60, if there is one; with `password` whoever does not log in may nothing.
    """
    program = demand("redis")["redis-server"]
    with short_folder() as folder:
        server = DurableRedis(program, folder, offset, password)
        try:
            await server.start()
            yield server
        finally:
            await server.stop()


async def _answers_ping(socket: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        writer.write(b"PING\r\n")
        # Whoever is asked to log in is answered too.
        if not (await reader.readline()).startswith((b"+PONG", b"-NOAUTH")):
            raise ConnectionError
    finally:
        writer.close()


@asynccontextmanager
async def postgres_server() -> AsyncIterator[PostgresServer]:
    """Skips where PostgreSQL is absent."""
    programs = demand("postgres")
    with short_folder() as folder:
        server = PostgresServer(folder, folder / "log")
        state = ("-D", str(folder / "state"))
        fresh = ("--auth=trust", "--no-sync", "-U", "postgres", "-E", "utf8", "--locale=C.UTF-8")
        await _succeed(
            Command((*_not_root(), str(programs["initdb"]), *state, *fresh), server.log_path)
        )
        private = ("-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off")
        start = (*_not_root(), str(programs["postgres"]), *state, *private)
        probe = (str(programs["pg_isready"]), "-q", "-h", str(folder), "-U", "postgres")

        async def ready() -> None:
            await _succeed(Command(probe, folder / "probe"))

        # SIGTERM waits for clients to leave; after this long it is not a test's clean end.
        async with supervised_process(Command(start, server.log_path, grace_s=3.0), ready=ready):
            yield server


@asynccontextmanager
async def nats_server() -> AsyncIterator[NatsServer]:
    """Skips where NATS is absent."""
    program = demand("nats")["nats-server"]
    with short_folder() as folder:
        log = folder / "log"
        listen = ("-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", str(folder))
        argv = (str(program), *listen, "-js", "-sd", str(folder / "state"))
        urls: list[str] = []

        async def ready() -> None:
            urls[:] = _ports_of(folder)

        async with supervised_process(Command(argv, log), ready=ready):
            yield NatsServer(urls[0], log)


def _ports_of(folder: Path) -> list[str]:
    # NATS writes it once it listens; before that there is nothing to find.
    for path in folder.glob("*.ports"):
        found: list[str] = json.loads(path.read_text())["nats"]
        return found
    raise FileNotFoundError


def _not_root() -> tuple[str, ...]:
    """PostgreSQL refuses to run as root, so root becomes somebody else in its own eyes only.

    The kernel forgets on the way who its parent's death should end, hence the last words.
    """
    if os.geteuid() != 0:
        return ()
    unshare = shutil.which("unshare") or "unshare"
    mapped = (unshare, "--user", "--map-user=1000", "--map-group=1000", "--")
    setpriv = shutil.which("setpriv")
    return (*mapped, setpriv, "--pdeathsig", "KILL", "--") if setpriv else mapped


async def _succeed(command: Command) -> None:
    status = await run_process(command)
    if status != 0:
        raise ProcessFailure("process failed", status=status, log_tail=command.log_tail())
