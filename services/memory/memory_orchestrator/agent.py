"""What the fleet remembers. Contract: tandem.memory.v1.MemoryOrchestratorService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.memory.memory_orchestrator.attention import SYNC
from services.memory.memory_orchestrator.book import Book
from services.memory.memory_orchestrator.consolidation import Consolidation, Terms
from services.memory.memory_orchestrator.desk import INDEX_MIB_MAX, Desk
from services.memory.memory_orchestrator.following import Indices
from services.memory.memory_orchestrator.noting import STREAM, Failures, Whose
from services.memory.memory_orchestrator.questions import Questions
from services.memory.memory_orchestrator.search import WEIGHT, Ranking, Search
from services.memory.memory_orchestrator.servicer import Memories, Parts
from services.memory.memory_orchestrator.strength import Fading
from services.memory.memory_orchestrator.subjects import Subjects
from services.memory.memory_orchestrator.upkeep import Upkeep
from services.memory.memory_orchestrator.uses import Uses
from services.memory.memory_orchestrator.vectoring import Vectoring
from tandem.memory.config.v1 import memory_orchestrator_pb2 as cfg
from tandem.memory.v1 import embedding_service_pb2 as embedding
from tandem.memory.v1 import embedding_service_pb2_grpc as embedding_rpc
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.platform.v1 import event_store_service_pb2 as events
from tandem.platform.v1 import event_store_service_pb2_grpc as events_rpc
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.fleet_embedder import FleetEmbedder
from tandemkit.hosting.recording import recording
from tandemkit.hosting.scope import Scope


@asynccontextmanager
async def build(scope: Scope, settings: cfg.MemoryOrchestratorSettings) -> AsyncIterator[Memories]:
    state, clock = await scope.state(), scope.clock
    fading = Fading.of(settings)
    book, indices = Book(state, clock), Indices(state.store, fading, clock)
    embedder = FleetEmbedder(scope.stub(embedding_rpc.EmbeddingServiceStub))
    questions = Questions(embedder, clock)
    uses = Uses(book, clock)
    weight = settings.strength_weight if settings.HasField("strength_weight") else WEIGHT
    search = Search(book, indices, questions, Ranking(fading, uses, weight), clock)
    vectoring = Vectoring(book, indices, embedder, clock)
    desk = Desk(book, indices, clock, vectoring.written)
    desk.limit(settings.functional_predicates, settings.index_mib_max or INDEX_MIB_MAX)
    consolidation = Consolidation(book, desk, indices, fading, clock)
    consolidation.terms = Terms.of(settings)
    subjects = Subjects(book, desk, indices)
    parts = Parts(book, desk, search, subjects, consolidation, fading, clock)
    scope.spawn("follow", indices.run())
    scope.spawn("scrub", desk.run())
    scope.spawn("uses", uses.run())
    scope.spawn("vectors", vectoring.run())
    sync = settings.sync_interval.ToTimedelta() if settings.HasField("sync_interval") else SYNC
    scope.spawn("sync", indices.attention.keep(indices.follow, sync.total_seconds()))
    scope.spawn("upkeep", Upkeep(state, indices, consolidation, clock).run(settings))
    indices.wanted.set()
    store = scope.stub(events_rpc.EventStoreServiceStub)
    async with recording(scope.state_dir / "failures.outbox", STREAM, store, clock) as recorder:
        failures = Failures(recorder, Whose(scope.name, scope.where.machine), clock)
        try:
            yield Memories(parts, failures)
        finally:
            failures.end()


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.MemoryOrchestratorSettings,
    # Without the one memories are found by words, and failures wait on disk for the other.
    soft_calls=(embedding.DESCRIPTOR, events.DESCRIPTOR),
    build=build,
)
main = AGENT.main
