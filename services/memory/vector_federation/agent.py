"""Several stores of vectors searched as one. Contract: tandem.memory.v1.VectorFederationService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import grpc

from services.memory.vector_federation.asking import Store
from services.memory.vector_federation.federation import Federation
from services.memory.vector_federation.figures import families
from services.memory.vector_federation.source import OtherSpace, OwnSource, Source
from tandem.memory.config.v1 import vector_federation_pb2 as cfg
from tandem.memory.v1 import errors_pb2 as errors
from tandem.memory.v1 import vector_federation_service_pb2 as pb
from tandem.memory.v1 import vector_store_service_pb2 as stores
from tandem.memory.v1 import vector_store_service_pb2_grpc as stores_rpc
from tandemkit.core.errors import Bug
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.rpc.local import INSTANCE_HEADER
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.storage.vectors.protocol import CollectionMissing, Hit, Query, VectorStore
from tandemkit.storage.vectors.stores import opened
from tandemkit.storage.vectors.wire import filter_message, labels_of, space_message

if TYPE_CHECKING:
    from services.memory.vector_federation.servicer import VectorFederation

_REASON = errors.ErrorReason.Name
_PREFIX = "ERROR_REASON_"
_WAIT_S = 2.0
_FLEET = (cfg.FederatedStore(name="fleet", instance=""),)


@asynccontextmanager
async def build(
    scope: Scope, settings: cfg.VectorFederationSettings
) -> AsyncIterator[VectorFederation]:
    # With it comes numpy, whose threads the host has settled by now.
    from services.memory.vector_federation.servicer import VectorFederation

    said = list(settings.stores) or _FLEET
    if len({one.name for one in said}) < len(said):
        raise Bug("two stores of the federation's settings have one name")
    known = [Store(one.name, one.weight or 1.0, _source(scope, one), scope.clock) for one in said]
    wait_s = settings.wait.ToMicroseconds() / 1e6 if settings.HasField("wait") else _WAIT_S
    federation = Federation(known, wait_s)
    scope.measure(lambda: families(known))
    try:
        yield VectorFederation(federation)
    finally:
        await federation.aclose()


def _source(scope: Scope, said: cfg.FederatedStore) -> Source:
    if not said.HasField("backend"):
        return AgentSource(scope.stub(stores_rpc.VectorStoreServiceStub), said.instance)
    folder = scope.state_dir / said.name
    folder.mkdir(parents=True, exist_ok=True)

    def opening() -> AbstractAsyncContextManager[VectorStore]:
        return opened(said.backend, folder, lambda name: scope.secret(name).reveal)

    source = OwnSource(said.backend.WhichOneof("place") or "files", opening, scope.clock)
    scope.spawn(f"store:{said.name}", source.run())
    return source


class AgentSource:
    """An instance of VectorStoreService; without a name any that serves."""

    kind = "instance"

    def __init__(self, stub: stores_rpc.VectorStoreServiceAsyncStub, instance: str) -> None:
        self._stub, self.instance = stub, instance
        self._headers = ((INSTANCE_HEADER, instance),) if instance else ()

    async def search(self, collection: str, query: Query) -> tuple[Hit, ...]:
        request = stores.SearchVectorsRequest(
            collection=collection,
            space=space_message(query.space),
            values=query.values.tolist(),
            limit=query.k,
            filter=filter_message(query.where),
            exact=query.exact,
        )
        try:
            found = await self._stub.SearchVectors(request, metadata=self._headers)
        except grpc.aio.AioRpcError as error:
            raise _failure(RemoteFailure.of(error), collection) from error
        return tuple(Hit(one.id, one.score, labels_of(one.labels)) for one in found.hits)


def _failure(failure: RemoteFailure, collection: str) -> Exception:
    """As a store that is opened here would have raised it."""
    reason = f"{_PREFIX}{failure.reason}"
    if reason == _REASON(errors.ERROR_REASON_COLLECTION_NOT_FOUND):
        return CollectionMissing(collection)
    if reason == _REASON(errors.ERROR_REASON_SPACE_MISMATCH):
        return OtherSpace(failure.message, **failure.metadata)
    if reason == _REASON(errors.ERROR_REASON_VECTOR_INVALID):
        return ValueError(failure.message)
    if failure.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
        return Unreachable(failure.message)
    return Refused(failure.message, reason=failure.reason)


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.VectorFederationSettings,
    soft_calls=(stores.DESCRIPTOR,),
    build=build,
)
main = AGENT.main
