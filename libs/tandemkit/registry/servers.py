"""The backends that are servers of their own, by what the settings say of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tandem.control.config.v1 import registry_pb2 as cfg
from tandemkit.core.clock import Clock
from tandemkit.reach.server import TlsFiles
from tandemkit.registry.consul import ConsulSettings, consul_registry
from tandemkit.registry.consul_services import CHECK_INTERVAL_S, ConsulServices
from tandemkit.registry.protocol import Registry
from tandemkit.registry.redis_backend import RedisRegistry
from tandemkit.registry.redis_keyspace import RedisSettings

_CONSUL_ADDRESS = "http://127.0.0.1:8500"
_REDIS_ADDRESS = "127.0.0.1:6379"


@asynccontextmanager
async def consul(
    said: cfg.ConsulBackend, clock: Clock
) -> AsyncIterator[tuple[Registry, ConsulServices]]:
    """With where people see the hosts' agents."""
    async with consul_registry(consul_settings(said), clock) as registry:
        yield registry, registry.services(_check_interval_s(said))


@asynccontextmanager
async def redis(said: cfg.RedisBackend, clock: Clock) -> AsyncIterator[Registry]:
    registry = RedisRegistry(redis_settings(said), clock)
    try:
        yield registry
    finally:
        await registry.aclose()


def consul_settings(said: cfg.ConsulBackend) -> ConsulSettings:
    return ConsulSettings(
        url=said.address or _CONSUL_ADDRESS,
        token_path=_path(said.token_file),
        tls=_tls_files(said.tls),
        prefix=said.prefix or "tandem",
    )


def redis_settings(said: cfg.RedisBackend) -> RedisSettings:
    address = said.address or _REDIS_ADDRESS
    scheme, _, rest = address.partition(":")
    is_socket = scheme == "unix"
    return RedisSettings(
        host="" if is_socket else scheme,
        port=0 if is_socket else int(rest),
        socket=Path(rest) if is_socket else None,
        user=said.user or "default",
        password_path=_path(said.password_file),
        tls=_tls_files(said.tls),
        prefix=said.prefix or "tandem",
    )


def _tls_files(said: cfg.TlsFiles) -> TlsFiles:
    return TlsFiles(_path(said.ca_file), _path(said.certificate_file), _path(said.key_file))


def _check_interval_s(said: cfg.ConsulBackend) -> float:
    if not said.HasField("check_interval"):
        return CHECK_INTERVAL_S
    return said.check_interval.ToTimedelta().total_seconds()


def _path(text: str) -> Path | None:
    return Path(text) if text else None
