"""The backend that the settings name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tandem.control.config.v1 import registry_pb2 as cfg
from tandemkit.core.clock import Clock
from tandemkit.reach.server import TlsFiles
from tandemkit.registry.consul import ConsulSettings, consul_registry
from tandemkit.registry.consul_services import CHECK_INTERVAL_S, ConsulServices
from tandemkit.registry.embedded import embedded_registry
from tandemkit.registry.protocol import Registry
from tandemkit.registry.redis_backend import RedisRegistry
from tandemkit.registry.redis_keyspace import RedisSettings

_CONSUL_ADDRESS = "http://127.0.0.1:8500"
_REDIS_ADDRESS = "127.0.0.1:6379"


@dataclass(frozen=True, slots=True)
class Backend:
    """A registry, and where people see its hosts' agents, if that is anywhere. `mark` rises once
    what was written can be read; None where others write too.
    """

    registry: Registry
    services: ConsulServices | None = None
    mark: Callable[[], int | None] = lambda: None


@asynccontextmanager
async def opened(
    settings: cfg.RegistrySettings, folder: Path, clock: Clock
) -> AsyncIterator[Backend]:
    """It is let go of on the way out. Does not wait for a server."""
    backend = settings.WhichOneof("backend")
    if backend == "consul":
        async with consul_registry(consul_settings(settings.consul), clock) as consul:
            yield Backend(consul, consul.services(_check_interval_s(settings.consul)))
    elif backend == "redis":
        async with _redis_registry(redis_settings(settings.redis), clock) as redis:
            yield Backend(redis)
    else:
        async with embedded_registry(folder, clock) as embedded:
            yield Backend(embedded, mark=embedded.writes)


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


@asynccontextmanager
async def _redis_registry(settings: RedisSettings, clock: Clock) -> AsyncIterator[Registry]:
    registry = RedisRegistry(settings, clock)
    try:
        yield registry
    finally:
        await registry.aclose()


def _tls_files(said: cfg.TlsFiles) -> TlsFiles:
    return TlsFiles(_path(said.ca_file), _path(said.certificate_file), _path(said.key_file))


def _check_interval_s(said: cfg.ConsulBackend) -> float:
    if not said.HasField("check_interval"):
        return CHECK_INTERVAL_S
    return said.check_interval.ToTimedelta().total_seconds()


def _path(text: str) -> Path | None:
    return Path(text) if text else None
