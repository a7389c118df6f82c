"""Typed flags, changed while the fleet runs. Contract: tandem.platform.v1.FeatureFlagService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.platform.feature_flag.editing import SHAPE, Ledger
from services.platform.feature_flag.ofrep import PATH, Ofrep
from services.platform.feature_flag.servicer import FeatureFlags
from services.platform.feature_flag.standing import Standing
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandem.platform.v1 import errors_pb2 as errors
from tandem.platform.v1 import event_store_service_pb2 as events
from tandem.platform.v1 import event_store_service_pb2_grpc as events_rpc
from tandem.platform.v1 import feature_flag_service_pb2 as pb
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.chronicle import Chronicle
from tandemkit.hosting.history import HistoryRecording
from tandemkit.hosting.recording import StoreAgent
from tandemkit.hosting.scope import Scope
from tandemkit.hosting.values import Refusals, StubbedValues

_REFUSALS = Refusals(
    errors.ERROR_REASON_FLAG_STORE_UNREACHABLE,
    errors.ERROR_REASON_FLAGS_FULL,
    "all flags together are more than the registry stores: take away those that are overdue",
)


@asynccontextmanager
async def build(scope: Scope, _settings: None) -> AsyncIterator[FeatureFlags]:
    values = StubbedValues(scope.stub(registry_rpc.RegistryServiceStub), _REFUSALS)
    records = Chronicle(values, SHAPE)
    standing = Standing(records, scope.clock)
    scope.ready_when(standing.known)
    scope.spawn("registry", standing.told.run())
    store = StoreAgent(scope.stub(events_rpc.EventStoreServiceStub))
    scope.spawn("recording", HistoryRecording(records, store, scope.clock).run())
    scope.take(PATH, Ofrep(standing).answer)
    yield FeatureFlags(standing, Ledger(records, scope.clock.now), scope.clock)


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    calls=(registry.DESCRIPTOR,),
    soft_calls=(events.DESCRIPTOR,),
    build=build,
)
main = AGENT.main
