"""tandem.memory.v1.VectorFederationService over the federation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.memory.vector_federation import refusal
from services.memory.vector_federation.asking import (
    ANSWERED,
    FAILED,
    LACKING,
    LATE,
    SKIPPED,
    UNKNOWN,
    Outcome,
    Store,
)
from services.memory.vector_federation.federation import Federation, Merged, merged
from tandem.memory.v1 import federated_store_pb2 as nouns
from tandem.memory.v1 import vector_federation_service_pb2 as pb
from tandem.memory.v1 import vector_federation_service_pb2_grpc as rpc
from tandemkit.hosting import access
from tandemkit.hosting.access import Right
from tandemkit.rpc.context import Context
from tandemkit.rpc.current import SERVING
from tandemkit.rpc.paging import fitting
from tandemkit.storage.vectors import checks
from tandemkit.storage.vectors.protocol import Metric, Plan, Query
from tandemkit.storage.vectors.wire import filter_of, label_messages, space_of

_HITS = 10


class VectorFederation(rpc.VectorFederationServiceServicer):
    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self._by_name = {one.name: one for one in federation.stores}

    async def SearchFederation(
        self, request: pb.SearchFederationRequest, _context: Context
    ) -> pb.SearchFederationResponse:
        access.check_named(request.collection, Right.READ)
        query, stores = _query(request), self._stores(request.stores)
        serving = SERVING.get()
        rest_s = serving.rest_s() if serving is not None else None
        outcomes = await self._federation.search(request.collection, query, stores, rest_s)
        if (failure := refusal.unanswered(outcomes, request.collection)) is not None:
            raise failure
        found = merged(outcomes, [one.weight for one in stores], query.k)
        return pb.SearchFederationResponse(
            hits=fitting(map(_hit, found)),
            outcomes=map(_outcome, outcomes),
            is_partial=any(one.state in UNKNOWN for one in outcomes),
        )

    async def ListStores(
        self, _request: pb.ListStoresRequest, _context: Context
    ) -> pb.ListStoresResponse:
        access.check_fleet()
        return pb.ListStoresResponse(stores=map(_status, self._federation.stores))

    def _stores(self, names: Sequence[str]) -> list[Store]:
        if strange := next((one for one in names if one not in self._by_name), None):
            raise refusal.no_store(strange, list(self._by_name))
        return [one for one in self._federation.stores if not names or one.name in names]


def _query(request: pb.SearchFederationRequest) -> Query:
    space, where = space_of(request.space), filter_of(request.filter)
    values = np.array(request.values, dtype=np.float32)
    query = Query(values, space, request.limit or _HITS, where, request.exact)
    try:
        # Whether a vector needs a length the metric says, which each store knows.
        checks.check_query(query, Plan(space, Metric.DOT))
    except ValueError as error:
        raise refusal.invalid(str(error)) from error
    return query


def _hit(found: Merged) -> nouns.FederatedHit:
    ranks = [
        nouns.FederatedHit.Rank(store=store, rank=rank, score=score)
        for store, rank, score in found.ranks
    ]
    labels = label_messages(found.hit.labels)
    return nouns.FederatedHit(id=found.hit.id, score=found.score, ranks=ranks, labels=labels)


def _outcome(outcome: Outcome) -> nouns.StoreOutcome:
    told = nouns.StoreOutcome(
        store=outcome.store, state=outcome.state, cause=outcome.cause, hits=len(outcome.hits)
    )
    told.took.FromMicroseconds(round(outcome.took_s * 1e6))
    return told


def _status(store: Store) -> nouns.FederatedStoreStatus:
    counts = store.counts.by_state
    told = nouns.FederatedStoreStatus(
        name=store.name,
        kind=store.source.kind,
        instance=store.source.instance,
        is_asked=store.gate.is_open,
        cause=store.gate.cause,
        answered=counts.get(ANSWERED, 0) + counts.get(LACKING, 0),
        late=counts.get(LATE, 0),
        failed=counts.get(FAILED, 0),
        skipped=counts.get(SKIPPED, 0),
    )
    if store.counts.last_s is not None:
        told.last_took.FromMicroseconds(round(store.counts.last_s * 1e6))
    return told
