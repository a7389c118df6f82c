"""Where queues are kept, and the queues there: whoever opens them needs one backend's driver."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Protocol, TypeAlias

from tandemkit.core.clock import Clock
from tandemkit.storage.queue.protocol import Queue


class Queues(Protocol):
    """Queues of one backend by name."""

    async def check(self) -> None:
        """Raises Unreachable while the backend is away."""

    def queue(self, name: str, attempts_max: int) -> Queue:
        """Whose messages are handed out so often at most. Raises ValueError for what is no
        name.
        """


@dataclass(frozen=True, slots=True)
class NatsPlace:
    """How the servers are reached. `credentials` is a file of NATS's own format, with a JWT and its
    seed; streams are kept `replicas` times.
    """

    servers: tuple[str, ...]
    prefix: str = "tandem"
    credentials: Path | None = None
    # Asked at each connect.
    token: Callable[[], str] | None = None
    trust: SSLContext | None = None
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class RabbitmqPlace:
    """How the broker is reached."""

    host: str
    port: int
    user: str = "guest"
    # Asked at each connect.
    password: Callable[[], str] = lambda: "guest"
    virtual_host: str = "/"
    trust: SSLContext | None = None
    prefix: str = "tandem"
    # How long a queue that is new to the broker is left alone: rabbitmq_layout.Layout.
    settle_s: float = 2.5


# A path is a file of SQLite.
Place: TypeAlias = Path | NatsPlace | RabbitmqPlace


@asynccontextmanager
async def opened(place: Place, clock: Clock) -> AsyncIterator[Queues]:
    """Raises InUse and Damaged for a file. A broker may be away, then and later: it is connected to
    whenever it is there.
    """
    if isinstance(place, NatsPlace):
        # The driver of a broker is imported by who uses it.
        from tandemkit.storage.queue.nats import nats_queues

        async with nats_queues(place, clock) as nats:
            yield nats
    elif isinstance(place, RabbitmqPlace):
        from tandemkit.storage.queue.rabbitmq import rabbitmq_queues

        async with rabbitmq_queues(place, clock) as rabbitmq:
            yield rabbitmq
    else:
        from tandemkit.storage.queue.sqlite import sqlite_queues

        async with sqlite_queues(place, clock) as files:
            yield files
