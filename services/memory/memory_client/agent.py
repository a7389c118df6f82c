"""Memories while the orchestrator is away too. Contract: tandem.memory.v1.MemoryClientService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from services.memory.memory_client.copies import Copies
from services.memory.memory_client.draining import Draining
from services.memory.memory_client.journal import Bounds, journal
from services.memory.memory_client.line import Line
from services.memory.memory_client.matter import Matter
from services.memory.memory_client.means import Means
from services.memory.memory_client.noting import STREAM, Noting
from services.memory.memory_client.orchestrator import Orchestrator
from services.memory.memory_client.reading import Reading
from services.memory.memory_client.resolving import Resolving
from services.memory.memory_client.servicer import MemoryClient, Parts
from services.memory.memory_client.telling import Telling
from services.memory.memory_client.writing import Writing
from tandem.memory.config.v1 import memory_client_pb2 as cfg
from tandem.memory.v1 import memory_client_service_pb2 as pb
from tandem.memory.v1 import memory_orchestrator_service_pb2 as orchestrator
from tandem.memory.v1 import memory_orchestrator_service_pb2_grpc as orchestrator_rpc
from tandem.platform.v1 import event_store_service_pb2 as events
from tandem.platform.v1 import event_store_service_pb2_grpc as events_rpc
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.news import News
from tandemkit.hosting.recording import recording
from tandemkit.hosting.scope import Scope

_MIB: Final = 1024 * 1024
_PATIENCE_S, _FRESH_FOR_S = 1.0, 10.0
_COPIES_MAX, _COPIES_BYTES_MAX = 2000, 8 * _MIB
_JOURNAL_MAX, _JOURNAL_BYTES_MAX = 10_000, 32 * _MIB


@asynccontextmanager
async def build(scope: Scope, settings: cfg.MemoryClientSettings) -> AsyncIterator[MemoryClient]:
    clock, news = scope.clock, News()
    line = Line(clock, news)
    patience_s = settings.patience.ToNanoseconds() / 1e9 or _PATIENCE_S
    stub = scope.stub(orchestrator_rpc.MemoryOrchestratorServiceStub)
    copies = Copies(
        clock,
        settings.copies_max or _COPIES_MAX,
        settings.copies_bytes_max or _COPIES_BYTES_MAX,
    )
    bounds = Bounds(
        settings.journal_max or _JOURNAL_MAX, settings.journal_bytes_max or _JOURNAL_BYTES_MAX
    )
    store = scope.stub(events_rpc.EventStoreServiceStub)
    async with (
        recording(scope.state_dir / "failures.outbox", STREAM, store, clock) as recorder,
        journal(scope.state_dir / "journal.sqlite", bounds, news) as kept,
    ):
        means = Means(Orchestrator(stub, line, patience_s), kept, copies, line, clock)
        writing = Writing(means)
        noting = Noting(recorder, scope.name, scope.where, clock)
        if kept.unreadable:
            noting.unreadable(kept.unreadable)
        draining = Draining(means, writing, noting)
        telling = Telling(means, writing, draining)
        scope.spawn("drain", draining.run())
        scope.measure(telling.families)
        yield MemoryClient(
            Parts(
                Reading(means),
                writing,
                telling,
                Resolving(kept, writing),
                Matter(means, writing, draining),
                _fresh_for_s(settings),
                clock,
                news,
            )
        )


def _fresh_for_s(settings: cfg.MemoryClientSettings) -> float:
    if not settings.HasField("fresh_for"):
        return _FRESH_FOR_S
    return settings.fresh_for.ToNanoseconds() / 1e9


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.MemoryClientSettings,
    # Without the one writes are journaled, and without the other failures wait on disk.
    soft_calls=(orchestrator.DESCRIPTOR, events.DESCRIPTOR),
    build=build,
)
main = AGENT.main
