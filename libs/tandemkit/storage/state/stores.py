"""The store of state that a fleet has chosen, opened for one owner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tandem.fleet.v1 import state_pb2 as cfg
from tandemkit.core.errors import Failure
from tandemkit.storage.state.protocol import StateStore
from tandemkit.storage.state.sqlite import sqlite_state

FILE = "state.sqlite"
_REDIS_ADDRESS = "127.0.0.1:6379"


class DsnUnreadable(Failure):
    """The file that says where the database is cannot be read."""


@asynccontextmanager
async def opened(chosen: cfg.StateStore, owner: str, folder: Path) -> AsyncIterator[StateStore]:
    """`folder` is the owner's own, for files. Raises Unreachable, InUse, Damaged, DsnUnreadable."""
    place = chosen.WhichOneof("place")
    if place == "postgres":
        # The driver of a server is imported by who uses it: 12 MB that no other host pays.
        from tandemkit.storage.state.postgres import postgres_state

        dsn = await asyncio.to_thread(_dsn, Path(chosen.postgres.dsn_file))
        async with postgres_state(dsn, owner) as postgres:
            yield postgres
    elif place == "redis":
        async with _redis(chosen.redis, owner) as redis:
            yield redis
    else:
        async with sqlite_state(folder / FILE) as files:
            yield files


def _dsn(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise DsnUnreadable("its file cannot be read", file=path, cause=error.strerror) from error


@asynccontextmanager
async def _redis(said: cfg.StateRedis, owner: str) -> AsyncIterator[StateStore]:
    from tandemkit.reach.redis import RedisServer
    from tandemkit.reach.server import TlsFiles
    from tandemkit.storage.state.redis import RedisState

    scheme, _, rest = (said.address or _REDIS_ADDRESS).partition(":")
    is_socket = scheme == "unix"
    server = RedisServer(
        host="" if is_socket else scheme,
        port=0 if is_socket else int(rest),
        socket=Path(rest) if is_socket else None,
        user=said.user or "default",
        password_path=_path(said.password_file),
        tls=TlsFiles(ca_path=_path(said.ca_file)),
        prefix=said.prefix or "tandem",
    )
    store = RedisState(server, owner)
    try:
        yield store
    finally:
        await store.aclose()


def _path(text: str) -> Path | None:
    return Path(text) if text else None
