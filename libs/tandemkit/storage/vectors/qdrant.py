"""Vectors in Qdrant: a server, or its client's own local mode. Qdrant knows points by UUID, so one
is made of each id.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.storage.vectors import checks
from tandemkit.storage.vectors.far import first_ids, in_order
from tandemkit.storage.vectors.protocol import (
    PAGE_POINTS_MAX,
    CollectionMissing,
    Filter,
    Hit,
    Index,
    Metric,
    Plan,
    Point,
    Query,
    Space,
)
from tandemkit.storage.vectors.qdrant_filtering import filter_of
from tandemkit.storage.vectors.texts import labels_in, labels_text

# Whoever asks is waiting: an answer that takes longer is none.
ANSWER_S_MAX = 5
_PREFIX = "tandem-"
_DISTANCES = {
    Metric.COSINE: models.Distance.COSINE,
    Metric.DOT: models.Distance.DOT,
    Metric.L2: models.Distance.EUCLID,
}
_IDS = uuid.UUID("5b1c2c1e-6a52-4c39-9a53-7a0f4a4f7f16")
_PART = 1000


@dataclass(frozen=True, slots=True)
class QdrantPlace:
    """A server by its URL, or the folder of the local mode, which is for tests: it compares all."""

    url: str = ""
    key: Callable[[], str] | None = None
    folder: Path | None = None


class QdrantVectors:
    """`tandemkit.storage.vectors.protocol.VectorStore`, from `qdrant_vectors`."""

    remains = "a Qdrant server frees what was deleted when it optimises its segments"

    def __init__(self, client: AsyncQdrantClient, *, is_local: bool) -> None:
        self.client, self.is_local = client, is_local

    async def create(self, name: str, plan: Plan) -> QdrantCollection:
        checks.check_name(name)
        checks.check_plan(plan)
        try:
            collection = await self.open(name)
        except CollectionMissing:
            await self._make(name, plan)
            # Of two that came at once, the first one's holds.
            collection = await self.open(name)
        checks.check_same(name, plan, collection.plan)
        return collection

    async def open(self, name: str) -> QdrantCollection:
        checks.check_name(name)
        with answering(name):
            found = await self.client.get_collection(_PREFIX + name)
        return QdrantCollection(self, name, _plan_in(name, found.config.metadata))

    async def names(self) -> tuple[str, ...]:
        with answering():
            known = (await self.client.get_collections()).collections
        ours = (one.name.removeprefix(_PREFIX) for one in known if one.name.startswith(_PREFIX))
        return tuple(sorted(ours))

    async def drop(self, name: str) -> bool:
        with answering():
            if not await self.client.collection_exists(_PREFIX + name):
                return False
            return bool(await self.client.delete_collection(_PREFIX + name))

    async def check(self) -> None:
        with answering():
            await self.client.get_collections()

    async def _make(self, name: str, plan: Plan) -> None:
        space = plan.space
        told = {
            "model": space.model,
            "version": space.version,
            "dimension": space.dimension,
            "metric": str(plan.metric),
            "index": str(plan.index),
        }
        vectors = models.VectorParams(size=space.dimension, distance=_DISTANCES[plan.metric])
        try:
            with answering(name):
                await self.client.create_collection(
                    _PREFIX + name, vectors_config=vectors, metadata=told
                )
        except Refused as error:
            if error.metadata.get("status") != "409":
                raise


class QdrantCollection:
    """`tandemkit.storage.vectors.protocol.Collection`."""

    def __init__(self, store: QdrantVectors, name: str, plan: Plan) -> None:
        self._client, self.name, self.plan = store.client, name, plan
        self._kept = _PREFIX + name
        # The local mode compares all, and warns whoever asks it to.
        self._exact = None if store.is_local else models.SearchParams(exact=True)

    async def upsert(self, points: Sequence[Point], space: Space) -> None:
        checks.check_space(self.plan.space, space)
        checks.check_points(points, self.plan)
        told = [
            models.PointStruct(id=_key(one.id), vector=one.values.tolist(), payload=_payload(one))
            for one in points
        ]
        with answering(self.name):
            await self._client.upsert(self._kept, told, wait=True)

    async def delete(self, ids: Sequence[str] = (), where: Filter | None = None) -> int:
        checks.check_delete(ids, where)
        if where is None:
            gone = [point.id for point in await self.fetch(ids)]
            selected: Any = models.PointIdsList(points=[_key(one) for one in gone])
            count = len({*gone})
        else:
            count = await self.count(where)
            selected = models.FilterSelector(filter=filter_of(where) or models.Filter())
        if count:
            with answering(self.name):
                await self._client.delete(self._kept, selected, wait=True)
        return count

    async def fetch(self, ids: Sequence[str]) -> tuple[Point, ...]:
        checks.check_ids(ids)
        with answering(self.name):
            found = await self._client.retrieve(
                self._kept, [_key(one) for one in ids], with_payload=True, with_vectors=True
            )
        return in_order(map(_point, found), ids)

    async def page(
        self, after: str = "", limit: int = PAGE_POINTS_MAX, where: Filter = ()
    ) -> tuple[Point, ...]:
        """Reads every id: Qdrant lists by its own."""
        checks.check_page(limit)
        checks.check_filter(where)
        return await self.fetch(await first_ids(self._ids(where), after, limit))

    async def search(self, query: Query) -> tuple[Hit, ...]:
        checks.check_query(query, self.plan)
        with answering(self.name):
            found = await self._client.query_points(
                self._kept,
                query.values.tolist(),
                limit=query.k,
                query_filter=filter_of(query.where),
                search_params=self._exact if query.exact else None,
                with_payload=["id", "labels"],
            )
        sign = -1.0 if self.plan.metric is Metric.L2 else 1.0
        told = [(one.payload or {}, sign * one.score) for one in found.points]
        return tuple(Hit(one["id"], score, labels_in(one["labels"])) for one, score in told)

    async def count(self, where: Filter = ()) -> int:
        checks.check_filter(where)
        with answering(self.name):
            found = await self._client.count(self._kept, filter_of(where), exact=True)
        return found.count

    async def _ids(self, where: Filter) -> AsyncIterator[list[str]]:
        offset: Any = None
        while True:
            with answering(self.name):
                found, offset = await self._client.scroll(
                    self._kept, filter_of(where), limit=_PART, offset=offset, with_payload=["id"]
                )
            yield [(one.payload or {})["id"] for one in found]
            if offset is None:
                return


def _key(one: str) -> str:
    return str(uuid.uuid5(_IDS, one))


def _plan_in(name: str, said: Any) -> Plan:
    try:
        space = Space(said["model"], said["version"], int(said["dimension"]))
        return Plan(space, Metric(said["metric"]), Index(said["index"]))
    except (KeyError, TypeError, ValueError) as error:
        message = "the collection was not made by Tandem: its vectors' space is not known"
        raise Refused(message, collection=name) from error


def _payload(point: Point) -> dict[str, Any]:
    texts = {key: [*one] for key, one in point.labels.items() if isinstance(one, tuple)}
    numbers = {key: one for key, one in point.labels.items() if not isinstance(one, tuple)}
    return {
        "id": point.id,
        "labels": labels_text(point.labels),
        # Qdrant keeps a vector that is compared by the cosine at length 1.
        "length": float(np.linalg.norm(point.values.astype(np.float64))),
        "texts": texts,
        "numbers": numbers,
        "keys": [*point.labels],
        "number_keys": [*numbers],
    }


def _point(found: models.Record) -> Point:
    told = found.payload or {}
    values = np.array(found.vector, np.float64)
    length = float(np.linalg.norm(values))
    if length:
        values *= told["length"] / length
    return Point(told["id"], values.astype(np.float32), labels_in(told["labels"]))


@contextmanager
def answering(name: str = "") -> Iterator[None]:
    """Raises Unreachable, Refused, and CollectionMissing for the one of that name."""
    try:
        yield
    except UnexpectedResponse as error:
        status = error.status_code or 500
        if status == 404:
            raise CollectionMissing(name) from error
        if status >= 500 or status == 429:
            raise Unreachable("Qdrant cannot answer now", status=status) from error
        raise Refused("Qdrant refused", status=status, said=error.reason_phrase) from error
    except (ApiException, OSError) as error:
        cause = type(error).__name__
        raise Unreachable("Qdrant does not answer", cause=cause) from error
    except ValueError as error:
        # The local mode has no statuses.
        if "not found" not in str(error):
            raise
        raise CollectionMissing(name) from error


@asynccontextmanager
async def qdrant_vectors(place: QdrantPlace) -> AsyncIterator[QdrantVectors]:
    """The collections there whose names begin with `tandem-`; connects with the first call."""
    if place.folder is not None:
        client = AsyncQdrantClient(path=str(place.folder))
    else:
        key = place.key() if place.key else None
        client = AsyncQdrantClient(
            url=place.url, api_key=key, timeout=ANSWER_S_MAX, check_compatibility=False
        )
    try:
        yield QdrantVectors(client, is_local=place.folder is not None)
    finally:
        await client.close()
