"""Namespaces, their rules, exports and deletions. Contract: tandem.memory.v1.NamespaceService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.memory.namespace.deletions import Around, Deletions
from services.memory.namespace.exporting import Export
from services.memory.namespace.keepers import Keepers
from services.memory.namespace.ledger import PREFIX, SHAPE, Ledger, Order
from services.memory.namespace.past import Past
from services.memory.namespace.servicer import Namespaces
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandem.memory.config.v1 import namespace_pb2 as cfg
from tandem.memory.v1 import deletion_pb2 as nouns
from tandem.memory.v1 import errors_pb2 as errors
from tandem.memory.v1 import namespace_service_pb2 as pb
from tandem.platform.v1 import event_store_service_pb2 as events
from tandem.platform.v1 import event_store_service_pb2_grpc as events_rpc
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.chronicle import Chronicle
from tandemkit.hosting.history import HistoryRecording
from tandemkit.hosting.recording import StoreAgent
from tandemkit.hosting.replicas import Replicas
from tandemkit.hosting.scope import Scope
from tandemkit.hosting.values import Refusals, StubbedValues
from tandemkit.rpc.callers import AGENTS

_REFUSALS = Refusals(
    errors.ERROR_REASON_REGISTRY_UNREACHABLE,
    errors.ERROR_REASON_RULES_FULL,
    "all rules together are more than the registry stores: give several namespaces one pattern",
)
_RETRY_S = 5.0


@asynccontextmanager
async def build(scope: Scope, settings: cfg.NamespaceSettings) -> AsyncIterator[Namespaces]:
    stub, own = scope.stub(registry_rpc.RegistryServiceStub), f"{AGENTS}{scope.name}"
    records = Chronicle(StubbedValues(stub, _REFUSALS), SHAPE)
    ledger = Ledger(records, scope.clock.now)
    state = await scope.state()
    keepers = Keepers(Replicas(stub, scope.name, scope.token), state)

    async def unrule(deletion: nouns.Deletion) -> None:
        if deletion.whole_namespace:
            await ledger.remove(Order(f"{PREFIX}{deletion.namespace}", deletion.caller))

    past = Past(scope.state_dir)
    around = Around(keepers, past, scope.clock, unrule, scope.spawn)
    deletions = Deletions(state, around)
    await deletions.resume()
    scope.spawn("unruled", _ruled(ledger, settings, own, scope.clock))
    store = StoreAgent(scope.stub(events_rpc.EventStoreServiceStub))
    scope.spawn("recording", HistoryRecording(records, store, scope.clock).run())
    try:
        yield Namespaces(ledger, deletions, Export(keepers))
    finally:
        await deletions.end()


async def _ruled(ledger: Ledger, settings: cfg.NamespaceSettings, own: str, clock: Clock) -> None:
    """What the fleet's file says of namespaces without rules, into the rules, however long the
    registry is away.
    """
    while True:
        try:
            await ledger.unrule(Order("unruled", own), list(settings.unruled))
        except Failure:
            await clock.sleep(_RETRY_S)
        else:
            return


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.NamespaceSettings,
    calls=(registry.DESCRIPTOR,),
    soft_calls=(events.DESCRIPTOR,),
    calls_any=True,
    build=build,
)
main = AGENT.main
