"""The collections of one store, by the names of the contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import chain

from services.memory.vector_store.names import is_in, kept_as
from services.memory.vector_store.refusal import too_many
from tandemkit.storage.subjects import Mention, folded
from tandemkit.storage.vectors.protocol import (
    PAGE_POINTS_MAX,
    Collection,
    CollectionMissing,
    Filter,
    Plan,
    Point,
    VectorStore,
)

SUBJECTS = "subjects"


class Collections:
    """Raises what the store raises. Nothing is held open: others may drop what a server has."""

    def __init__(self, store: VectorStore, many_max: int) -> None:
        self._store, self._many_max = store, many_max
        self.remains = [store.remains] if store.remains else []
        self._creating = asyncio.Lock()

    async def create(self, name: str, plan: Plan) -> Collection:
        """Raises CallerError where there are too many."""
        kept = kept_as(name)
        async with self._creating:
            known = await self._store.names()
            if kept not in known and len(known) >= self._many_max:
                raise too_many(len(known))
            return await self._store.create(kept, plan)

    async def get(self, name: str) -> Collection:
        return await self._store.open(kept_as(name))

    async def names(self, namespace: str) -> Sequence[str]:
        """As they are kept, in order."""
        return [one for one in await self._store.names() if is_in(one, namespace)]

    async def plans(self, kept: Sequence[str]) -> list[Collection]:
        """One that is dropped meanwhile is left out."""
        found = []
        for one in kept:
            try:
                found.append(await self._store.open(one))
            except CollectionMissing:
                continue
        return found

    async def drop(self, name: str) -> bool:
        return await self._store.drop(kept_as(name))

    async def drop_all(self, namespace: str) -> int:
        """How many points were in them."""
        points = 0
        for collection in await self.plans(await self.names(namespace)):
            points += await collection.count()
            await self._store.drop(collection.name)
        return points

    async def about(
        self, namespace: str, is_about: Callable[[Point], bool]
    ) -> AsyncIterator[tuple[Collection, Point]]:
        """Every point of the namespace of which that holds."""
        for collection in await self.plans(await self.names(namespace)):
            async for point in all_points(collection):
                if is_about(point):
                    yield collection, point

    async def forget(self, namespace: str, is_about: Callable[[Point], bool]) -> int:
        """The same ones, deleted; how many there were."""
        gone: dict[str, list[str]] = {}
        async for collection, point in self.about(namespace, is_about):
            gone.setdefault(collection.name, []).append(point.id)
        deleted = 0
        for collection in await self.plans(sorted(gone)):
            ids = gone[collection.name]
            for at in range(0, len(ids), PAGE_POINTS_MAX):
                deleted += await collection.delete(ids[at : at + PAGE_POINTS_MAX])
        return deleted


async def all_points(collection: Collection, where: Filter = ()) -> AsyncIterator[Point]:
    """By id; what changes meanwhile may be seen or not."""
    after = ""
    while page := await collection.page(after, where=where):
        for point in page:
            yield point
        after = page[-1].id


def naming(subject: str, *, mentions: bool) -> Callable[[Point], bool]:
    """Whether a point names it among its subjects or, with `mentions`, has its words in a label."""
    wanted = folded(subject)
    mention = Mention(subject) if mentions else None

    def is_about(point: Point) -> bool:
        texts = {key: one for key, one in point.labels.items() if isinstance(one, tuple)}
        if wanted in map(folded, texts.get(SUBJECTS, ())):
            return True
        return mention is not None and any(map(mention.is_in, chain(*texts.values())))

    return is_about
