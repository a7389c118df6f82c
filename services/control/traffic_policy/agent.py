"""What operators change of the fleet's traffic at run time, kept in the registry. Contract:
tandem.control.v1.TrafficPolicyService.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc

from services.control.traffic_policy.ledger import Ledger
from services.control.traffic_policy.reach import Reach
from services.control.traffic_policy.recording import PolicyHistory
from services.control.traffic_policy.servicer import Policies
from services.control.traffic_policy.shelf import Overtaken, Shelf, Stored
from tandem.control.config.v1 import traffic_policy_pb2 as cfg
from tandem.control.v1 import errors_pb2 as errors
from tandem.control.v1 import registration_pb2 as nouns
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandem.control.v1 import traffic_policy_service_pb2 as pb
from tandem.platform.v1 import event_store_service_pb2 as events
from tandem.platform.v1 import event_store_service_pb2_grpc as events_rpc
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.history import HistoryRecording
from tandemkit.hosting.recording import StoreAgent
from tandemkit.hosting.scope import Scope
from tandemkit.rpc import channel
from tandemkit.rpc.client import mesh
from tandemkit.rpc.remote import RemoteFailure

_RETRY_S = 1.0
_CODE = grpc.StatusCode


class StubbedRegistry:
    """The registry behind a stub."""

    def __init__(self, stub: registry_rpc.RegistryServiceAsyncStub) -> None:
        self._stub = stub

    async def read(self, key: str) -> Stored:
        try:
            found = await self._stub.GetValue(registry.GetValueRequest(key=key))
        except grpc.aio.AioRpcError as error:
            if error.code() is _CODE.NOT_FOUND:
                return Stored(None, 0)
            raise _lost(error) from error
        return Stored(found.value, found.version)

    async def write(self, key: str, value: registry.StoredValue, expected: int) -> None:
        request = registry.PutValueRequest(key=key, value=value, expected_version=expected)
        try:
            await self._stub.PutValue(request)
        except grpc.aio.AioRpcError as error:
            if error.code() is _CODE.ABORTED:
                raise Overtaken from error
            if error.code() is _CODE.INVALID_ARGUMENT:
                reason = errors.ERROR_REASON_NOT_STORABLE
                message = "the policy is larger than what the registry stores"
                raise CallerError(reason, message, field="policy") from error
            raise _lost(error) from error

    async def remove(self, key: str) -> None:
        with _answering():
            await self._stub.DeleteValue(registry.DeleteValueRequest(key=key))

    async def watch(self, key: str) -> AsyncGenerator[Stored, None]:
        call: Any = self._stub.WatchValue(registry.WatchValueRequest(key=key))
        try:
            with _answering():
                async for told in call:
                    yield Stored(told.value if told.HasField("value") else None, told.version)
        finally:
            call.cancel()

    async def hosts(self) -> list[nouns.Host]:
        call: Any = self._stub.WatchHosts(registry.WatchHostsRequest())
        try:
            with _answering():
                told = await anext(aiter(call), registry.WatchHostsResponse())
        finally:
            call.cancel()
        return list(told.snapshot.hosts)


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise _lost(error) from error


def _lost(error: grpc.aio.AioRpcError) -> CallerError | TransientError:
    said = RemoteFailure.of(error)
    if said.code is _CODE.FAILED_PRECONDITION:
        return CallerError(errors.ERROR_REASON_BACKEND_REFUSED, said.message)
    reason, message = errors.ERROR_REASON_BACKEND_UNREACHABLE, "the registry does not answer"
    return TransientError(reason, message, retry_after_s=_RETRY_S, cause=said.message)


@asynccontextmanager
async def build(scope: Scope, settings: cfg.TrafficPolicySettings) -> AsyncIterator[Policies]:
    near = None if settings.registry else scope.near
    # Not scope.stub: policy has to be changed also where the mesh is at fault.
    target = settings.registry or channel.NOWHERE
    async with mesh(target, near, clock=scope.clock, token=scope.token) as calls:
        stubbed = StubbedRegistry(calls.stub(registry_rpc.RegistryServiceStub))
        shelf = Shelf(stubbed)
        ledger, reach = Ledger(shelf, scope.clock), Reach(shelf.watch, scope.clock)
        scope.ready_when(reach.check)
        scope.spawn("reach", reach.run())
        store = StoreAgent(scope.stub(events_rpc.EventStoreServiceStub))
        recording = HistoryRecording(PolicyHistory(ledger), store, scope.clock)
        scope.spawn("recording", recording.run())
        yield Policies(ledger)


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.TrafficPolicySettings,
    # Whether it answers is the agent's own check: it may be another control's.
    soft_calls=(registry.DESCRIPTOR, events.DESCRIPTOR),
    build=build,
)
main = AGENT.main
