"""All stores asked at the same time, and what they find as one ranking."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from services.memory.vector_federation.asking import ANSWERED, Outcome, Store
from tandemkit.ml.ranking.fusion import fused
from tandemkit.storage.vectors.protocol import Hit, Query
from tandemkit.supervise.errands import Errands


@dataclass(frozen=True, slots=True)
class Merged:
    """A hit with its place in each store that has it, the best first."""

    hit: Hit
    score: float
    ranks: list[tuple[str, int, float]]


class Federation:
    """Of the stores in their order. What is tried beside a search ends with `aclose`."""

    def __init__(self, stores: Sequence[Store], wait_s: float) -> None:
        self.stores, self._wait_s = tuple(stores), wait_s
        self._errands = Errands()

    async def aclose(self) -> None:
        await self._errands.end(0)

    async def search(
        self, collection: str, query: Query, stores: Sequence[Store], rest_s: float | None
    ) -> list[Outcome]:
        """What came of each, within the caller's time; a store that is left alone is tried, and
        nobody waits for that.
        """
        within_s = self._wait_s if rest_s is None else min(self._wait_s, max(rest_s * 0.9, 0.001))

        async def ask(store: Store) -> Outcome:
            if store.gate.is_open:
                return await store.ask(collection, query, within_s)
            if store.gate.try_now():
                self._errands.start(_tried(store, collection, query, self._wait_s))
            return store.skip()

        return await asyncio.gather(*(ask(one) for one in stores))


def merged(outcomes: Sequence[Outcome], weights: Sequence[float], limit: int) -> list[Merged]:
    """By reciprocal rank over the stores that answered; an id that several have is one hit."""
    both = [
        (one, weight)
        for one, weight in zip(outcomes, weights, strict=True)
        if one.state == ANSWERED
    ]
    found = [{hit.id: hit for hit in one.hits} for one, _ in both]
    ranked = fused([list(hits) for hits in found], [weight for _, weight in both])
    made = []
    for one in ranked[:limit]:
        places = sorted((rank, number) for number, rank in enumerate(one.ranks) if rank)
        ranks = [
            (both[number][0].store, rank, found[number][one.key].score) for rank, number in places
        ]
        made.append(Merged(found[places[0][1]][one.key], one.score, ranks))
    return made


async def _tried(store: Store, collection: str, query: Query, within_s: float) -> None:
    await store.ask(collection, query, within_s)
