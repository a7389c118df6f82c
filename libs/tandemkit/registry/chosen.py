"""The backend that the settings name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tandem.control.config.v1 import registry_pb2 as cfg
from tandemkit.core.clock import Clock
from tandemkit.registry.embedded import embedded_registry
from tandemkit.registry.protocol import Registry

if TYPE_CHECKING:
    from tandemkit.registry.consul_services import ConsulServices


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
        # The clients of servers are imported by who uses one: 17 MB that no other control pays.
        from tandemkit.registry import servers

        async with servers.consul(settings.consul, clock) as (consul, services):
            yield Backend(consul, services)
    elif backend == "redis":
        from tandemkit.registry import servers

        async with servers.redis(settings.redis, clock) as redis:
            yield Backend(redis)
    else:
        async with embedded_registry(folder, clock) as embedded:
            yield Backend(embedded, mark=embedded.writes)
