"""What came of searches by store, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.memory.vector_federation.asking import Store
from tandem.memory.v1 import federated_store_pb2 as nouns
from tandemkit.telemetry.exposition import COUNTER, GAUGE, Family, Sample


def families(known: Sequence[Store]) -> Iterator[Family]:
    samples = [
        Sample(count, {"store": one.name, "state": _word(state)})
        for one in known
        for state, count in one.counts.by_state.items()
    ]
    yield Family("tandem_federation_searches", COUNTER, "What came of searches.", samples)
    took = [
        Sample(one.counts.last_s, {"store": one.name})
        for one in known
        if one.counts.last_s is not None
    ]
    yield Family("tandem_federation_last_seconds", GAUGE, "What its last answer took.", took)


def _word(state: nouns.StoreState.ValueType) -> str:
    return nouns.StoreState.Name(state).removeprefix("STORE_STATE_").lower()
