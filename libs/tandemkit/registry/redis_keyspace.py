"""What the registry adds to a connection to Redis: the names of its keys, and its scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from tandemkit.reach.redis import RedisServer


@dataclass(frozen=True, slots=True)
class RedisSettings(RedisServer):
    """A Redis, and how the registry uses it."""

    # How late the end of a lease may be noticed.
    sweep_every_s: float = 0.25
    # A watcher further behind than this gets a snapshot. Redis holds them in memory, with values.
    changes_kept: int = 10_000

    def __post_init__(self) -> None:
        # A watcher's read waits for as long as the sweep is apart; 0 would wait forever.
        if not 0.001 <= self.sweep_every_s <= self.patience.try_s / 2:
            raise ValueError("a sweep must come at least twice within a try")


class Keyspace:
    """The keys of one registry, which no other one of another prefix shares."""

    def __init__(self, settings: RedisSettings) -> None:
        # The braces keep all keys in one slot of a Redis Cluster, which scripts need.
        self._tag = "{" + settings.prefix + "}"
        self._changes_kept = str(settings.changes_kept)

    def key(self, name: str) -> str:
        """The full name of a key that the scripts call `name`."""
        return f"{self._tag}:{name}"

    async def evaluate(
        self, script: str, arguments: tuple[str | bytes | int, ...], redis: Redis
    ) -> Any:
        """One run of the script, which the server is sent in full only where it forgot it."""
        run = redis.register_script(script)
        return await run(keys=[self._tag], args=[self._changes_kept, *arguments])
