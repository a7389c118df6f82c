"""Configuration that changes while the fleet runs. Contract:
tandem.platform.v1.ConfigServerService.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.platform.config_server.ledger import SHAPE, Ledger
from services.platform.config_server.servicer import ConfigServer
from services.platform.config_server.standing import Standing
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandem.platform.config.v1 import config_server_pb2 as cfg
from tandem.platform.v1 import config_server_service_pb2 as pb
from tandem.platform.v1 import errors_pb2 as errors
from tandem.platform.v1 import event_store_service_pb2 as events
from tandem.platform.v1 import event_store_service_pb2_grpc as events_rpc
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.chronicle import Chronicle
from tandemkit.hosting.history import HistoryRecording
from tandemkit.hosting.recording import StoreAgent
from tandemkit.hosting.scope import Scope, Where
from tandemkit.hosting.values import Refusals, StubbedValues

_REFUSALS = Refusals(
    errors.ERROR_REASON_CONFIG_STORE_UNREACHABLE,
    errors.ERROR_REASON_CONFIG_FULL,
    "all that is set at run time is more than the registry stores",
)


def _launched(settings: cfg.ConfigServerSettings, where: Where) -> cfg.ConfigServerSettings:
    """With what the launcher knows, in place of what the stanza says of the same."""
    found = cfg.ConfigServerSettings(profile=where.profile)
    found.MergeFrom(settings)
    own = {"TANDEM_MACHINE": where.machine, "TANDEM_PROFILE": found.profile}
    found.ClearField("variables")
    found.variables.extend(one for one in settings.variables if one.name not in own)
    found.variables.extend(cfg.ConfigVariable(name=name, text=text) for name, text in own.items())
    return found


@asynccontextmanager
async def build(scope: Scope, settings: cfg.ConfigServerSettings) -> AsyncIterator[ConfigServer]:
    registry_stub = scope.stub(registry_rpc.RegistryServiceStub)
    records = Chronicle(StubbedValues(registry_stub, _REFUSALS), SHAPE)
    standing = Standing(_launched(settings, scope.where), records, scope.clock)
    await standing.read()
    scope.ready_when(standing.known)
    scope.spawn("registry", standing.told.run())
    scope.spawn("files", standing.look_at_files())
    store = StoreAgent(scope.stub(events_rpc.EventStoreServiceStub))
    recording = HistoryRecording(records, store, scope.clock)
    scope.spawn("recording", recording.run())
    yield ConfigServer(standing, Ledger(records, scope.clock))


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.ConfigServerSettings,
    calls=(registry.DESCRIPTOR,),
    soft_calls=(events.DESCRIPTOR,),
    build=build,
)
main = AGENT.main
