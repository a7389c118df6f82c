"""Configuration that changes while the fleet runs. Contract:
tandem.platform.v1.ConfigServerService.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc

from services.platform.config_server.ledger import Ledger, Overtaken, Stored
from services.platform.config_server.recording import ConfigHistory
from services.platform.config_server.servicer import ConfigServer
from services.platform.config_server.standing import Standing
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandem.platform.config.v1 import config_server_pb2 as cfg
from tandem.platform.v1 import config_server_service_pb2 as pb
from tandem.platform.v1 import errors_pb2 as errors
from tandem.platform.v1 import event_store_service_pb2 as events
from tandem.platform.v1 import event_store_service_pb2_grpc as events_rpc
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.history import HistoryRecording
from tandemkit.hosting.recording import StoreAgent
from tandemkit.hosting.scope import Scope, Where
from tandemkit.rpc.remote import RemoteFailure

_RETRY_S = 1.0
_CODE = grpc.StatusCode


class StubbedValues:
    """The registry's values behind its stub."""

    def __init__(self, stub: registry_rpc.RegistryServiceAsyncStub) -> None:
        self._stub = stub

    async def read(self, key: str) -> Stored:
        try:
            found = await self._stub.GetValue(registry.GetValueRequest(key=key))
        except grpc.aio.AioRpcError as error:
            if error.code() is _CODE.NOT_FOUND:
                return Stored(None, 0)
            raise _lost(error) from error
        return Stored(found.value.content, found.version)

    async def write(self, key: str, schema: str, content: bytes, expected: int) -> None:
        value = registry.StoredValue(schema=schema, content=content)
        request = registry.PutValueRequest(key=key, value=value, expected_version=expected)
        try:
            await self._stub.PutValue(request)
        except grpc.aio.AioRpcError as error:
            if error.code() is _CODE.ABORTED:
                raise Overtaken from error
            if error.code() is _CODE.INVALID_ARGUMENT:
                message = "all that is set at run time is more than the registry stores"
                raise CallerError(errors.ERROR_REASON_CONFIG_FULL, message) from error
            raise _lost(error) from error

    async def remove(self, key: str) -> None:
        with _answering():
            await self._stub.DeleteValue(registry.DeleteValueRequest(key=key))

    async def watch(self, key: str) -> AsyncGenerator[Stored, None]:
        call: Any = self._stub.WatchValue(registry.WatchValueRequest(key=key))
        try:
            with _answering():
                async for told in call:
                    has_one = told.HasField("value")
                    yield Stored(told.value.content if has_one else None, told.version)
        finally:
            call.cancel()


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise _lost(error) from error


def _lost(error: grpc.aio.AioRpcError) -> TransientError:
    cause = RemoteFailure.of(error).message
    reason, message = errors.ERROR_REASON_CONFIG_STORE_UNREACHABLE, "the registry does not answer"
    return TransientError(reason, message, retry_after_s=_RETRY_S, cause=cause)


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
    ledger = Ledger(StubbedValues(scope.stub(registry_rpc.RegistryServiceStub)), scope.clock)
    standing = Standing(_launched(settings, scope.where), ledger, scope.clock)
    await standing.read()
    scope.ready_when(standing.known)
    scope.spawn("registry", standing.follow())
    scope.spawn("files", standing.look_at_files())
    store = StoreAgent(scope.stub(events_rpc.EventStoreServiceStub))
    recording = HistoryRecording(ConfigHistory(ledger), store, scope.clock)
    scope.spawn("recording", recording.run())
    yield ConfigServer(standing, ledger)


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.ConfigServerSettings,
    calls=(registry.DESCRIPTOR,),
    soft_calls=(events.DESCRIPTOR,),
    build=build,
)
main = AGENT.main
