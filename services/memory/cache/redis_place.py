"""The Redis that the settings choose."""

from __future__ import annotations

from pathlib import Path

from tandem.memory.config.v1 import cache_pb2 as cfg
from tandemkit.reach.redis import RedisServer
from tandemkit.reach.server import Patience, TlsFiles

# Whoever looks something up would rather make it anew than wait for long.
_PATIENCE = Patience(try_s=0.5, answer_s=1.0)


def server_of(said: cfg.CacheRedis) -> RedisServer:
    scheme, _, rest = said.address.partition(":")
    is_socket = scheme == "unix"
    return RedisServer(
        host="" if is_socket else scheme,
        port=0 if is_socket else int(rest),
        socket=Path(rest) if is_socket else None,
        user=said.user or "default",
        password_path=_path(said.password_file),
        tls=TlsFiles(ca_path=_path(said.ca_file)),
        prefix=said.prefix or "tandem",
        patience=_PATIENCE,
    )


def _path(text: str) -> Path | None:
    return Path(text) if text else None
