"""The queue that the settings choose: one for each class of jobs."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tandem.tasks.config.v1 import job_pb2 as cfg
from tandem.tasks.v1 import job_pb2
from tandemkit.hosting.scope import Scope
from tandemkit.storage.queue.places import NatsPlace, Place, RabbitmqPlace, opened
from tandemkit.storage.queue.protocol import Queue

# The classes, the most urgent first.
LANES: Final = {
    job_pb2.JOB_PRIORITY_HIGH: "high",
    job_pb2.JOB_PRIORITY_NORMAL: "normal",
    job_pb2.JOB_PRIORITY_LOW: "low",
}
_PREFIX: Final = "tandem"
# RabbitMQ's own, whom it lets in on loopback alone.
_GUEST: Final = "guest"
# A record counts the attempts of its job. This is for a message that nobody can make sense of.
_HANDED_OUT_MAX = 1000


@dataclass(frozen=True, slots=True)
class Lanes:
    """A queue by priority. `check` raises Unreachable while the backend is away."""

    backend: str
    queues: Mapping[int, Queue]
    check: Callable[[], Awaitable[object]]

    def of(self, priority: int) -> Queue:
        return self.queues.get(priority) or self.queues[job_pb2.JOB_PRIORITY_NORMAL]

    async def open_count(self) -> int:
        """Messages that nobody settled."""
        return sum([(await queue.depth()).open_ for queue in self.queues.values()])


@asynccontextmanager
async def lanes(settings: cfg.JobSettings, scope: Scope) -> AsyncIterator[Lanes]:
    """Of this instance. Raises InUse, Damaged; a broker may be away."""
    backend = settings.WhichOneof("queue") or "sqlite"
    async with opened(_place(settings, scope), scope.clock) as queues:
        each: dict[int, Queue] = {
            priority: queues.queue(f"{scope.name}-{lane}", _HANDED_OUT_MAX)
            for priority, lane in LANES.items()
        }
        yield Lanes(backend, each, queues.check)


def _place(settings: cfg.JobSettings, scope: Scope) -> Place:
    if settings.HasField("nats"):
        return _nats(settings.nats, scope)
    if settings.HasField("rabbitmq"):
        return _rabbitmq(settings.rabbitmq, scope)
    return scope.state_dir / "queue.sqlite"


def _nats(said: cfg.NatsQueue, scope: Scope) -> NatsPlace:
    return NatsPlace(
        servers=tuple(said.servers),
        prefix=said.prefix or _PREFIX,
        credentials=Path(said.credentials_file) if said.credentials_file else None,
        token=scope.secret(said.token_secret).reveal if said.token_secret else None,
        trust=_trust(said.ca_file),
        replicas=said.replicas or 1,
    )


def _rabbitmq(said: cfg.RabbitmqQueue, scope: Scope) -> RabbitmqPlace:
    host, _, port = said.address.rpartition(":")
    return RabbitmqPlace(
        host=host,
        port=int(port),
        user=said.user or _GUEST,
        password=_password(said, scope),
        virtual_host=said.virtual_host or "/",
        trust=_trust(said.ca_file),
        prefix=said.prefix or _PREFIX,
    )


def _password(said: cfg.RabbitmqQueue, scope: Scope) -> Callable[[], str]:
    """What is asked at each connect."""
    if said.password_secret:
        return scope.secret(said.password_secret).reveal
    if said.password_file:
        return lambda: Path(said.password_file).read_text("utf-8").strip()
    return lambda: _GUEST


def _trust(ca_file: str) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=ca_file) if ca_file else None
