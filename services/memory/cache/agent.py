"""Values by key, for a time. Contract: tandem.memory.v1.CacheService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.memory.cache.file_rows import Room
from services.memory.cache.file_tier import FILE, file_tier
from services.memory.cache.local import LocalTier
from services.memory.cache.lookup import Cache, Desk
from services.memory.cache.policy import Policies
from services.memory.cache.servicer import CacheServicer
from services.memory.cache.tier import SharedTier
from services.memory.cache.uses import Uses
from tandem.memory.config.v1 import cache_pb2 as cfg
from tandem.memory.v1 import cache_service_pb2 as pb
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope

_LOCAL_BYTES_MAX = 64 * 1024 * 1024
_FILE_BYTES_MAX = 256 * 1024 * 1024
_VALUE_BYTES_MAX = 1024 * 1024


@asynccontextmanager
async def build(scope: Scope, settings: cfg.CacheSettings) -> AsyncIterator[CacheServicer]:
    policies, uses = Policies(settings.policies), Uses()
    local = LocalTier(policies, settings.local_bytes_max or _LOCAL_BYTES_MAX, uses.let_go)
    desk = Desk(policies, local, uses, scope.clock)
    cache = Cache(desk)
    async with _shared(scope, settings, desk, cache) as shared:
        cache.shared = shared
        scope.measure(lambda: uses.families(local, shared))
        try:
            yield CacheServicer(cache, desk, settings.value_bytes_max or _VALUE_BYTES_MAX)
        finally:
            await cache.aclose()


@asynccontextmanager
async def _shared(
    scope: Scope, settings: cfg.CacheSettings, desk: Desk, cache: Cache
) -> AsyncIterator[SharedTier]:
    if settings.HasField("redis"):
        # The driver of a server is imported by who uses it.
        from services.memory.cache.redis_place import server_of
        from services.memory.cache.redis_tier import redis_tier

        async with redis_tier(server_of(settings.redis), scope.clock, cache.heard) as redis:
            yield redis
        return
    room = Room(
        settings.file.bytes_max or _FILE_BYTES_MAX,
        lambda namespace: desk.policies.of(namespace).by_frequency,
        desk.uses.let_go_shared,
    )
    async with file_tier(scope.state_dir / FILE, room, scope.clock) as files:
        yield files


AGENT = Agent(contract=pb.DESCRIPTOR, settings=cfg.CacheSettings, build=build)
main = AGENT.main
