"""Vectors in a Chroma server, by its REST API. Vectors are always sent: Chroma's own embedder,
which fetches a model, is never asked.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import numpy as np

from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.storage.vectors import checks
from tandemkit.storage.vectors.chroma_filtering import ALL, metadata_of, where_of
from tandemkit.storage.vectors.far import exact_hits, first_ids, in_order
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
from tandemkit.storage.vectors.texts import labels_in

# Whoever asks is waiting: an answer that takes longer is none.
ANSWER_S_MAX = 5.0
_PREFIX = "tandem-"
_SPACES = {Metric.COSINE: "cosine", Metric.DOT: "ip", Metric.L2: "l2"}
_PART = 1000
_MISSING = 404


@dataclass(frozen=True, slots=True)
class ChromaPlace:
    """Where the server is. The token is asked for at each call."""

    url: str
    tenant: str
    database: str
    token: Callable[[], str] | None = None


class ChromaVectors:
    """`tandemkit.storage.vectors.protocol.VectorStore`, from `chroma_vectors`."""

    remains = "a Chroma server frees what was deleted when it compacts its log"

    def __init__(self, place: ChromaPlace, session: aiohttp.ClientSession) -> None:
        self._place, self._session = place, session
        base = f"{place.url.rstrip('/')}/api/v2"
        self._base = f"{base}/tenants/{place.tenant}/databases/{place.database}/collections"

    async def create(self, name: str, plan: Plan) -> ChromaCollection:
        checks.check_name(name)
        checks.check_plan(plan)
        space = plan.space
        body = {
            "name": _PREFIX + name,
            "metadata": {
                "model": space.model,
                "version": space.version,
                "dimension": space.dimension,
                "metric": str(plan.metric),
                "index": str(plan.index),
            },
            "configuration": {"hnsw": {"space": _SPACES[plan.metric]}},
            "get_or_create": False,
        }
        status, found = await self.ask("POST", "", body, passing=(409,))
        if status == 409:
            collection = await self.open(name)
            checks.check_same(name, plan, collection.plan)
            return collection
        return ChromaCollection(self, name, found["id"], plan)

    async def open(self, name: str) -> ChromaCollection:
        checks.check_name(name)
        status, found = await self.ask("GET", f"/{_PREFIX}{name}", passing=(_MISSING,))
        if status == _MISSING:
            raise CollectionMissing(name)
        return ChromaCollection(self, name, found["id"], _plan_in(found))

    async def names(self) -> tuple[str, ...]:
        known: list[str] = []
        while True:
            _, part = await self.ask("GET", f"?limit={_PART}&offset={len(known)}")
            known += [one["name"] for one in part]
            if len(part) < _PART:
                break
        ours = (one.removeprefix(_PREFIX) for one in known if one.startswith(_PREFIX))
        return tuple(sorted(ours))

    async def drop(self, name: str) -> bool:
        checks.check_name(name)
        status, _ = await self.ask("DELETE", f"/{_PREFIX}{name}", passing=(_MISSING,))
        return status != _MISSING

    async def check(self) -> None:
        await self.ask("GET", "?limit=1")

    async def ask(
        self, method: str, path: str, body: object = None, passing: Sequence[int] = ()
    ) -> tuple[int, Any]:
        """Status and answer of what went well, or has a status of `passing`. Raises Unreachable,
        Refused.
        """
        token = self._place.token
        headers = {"X-Chroma-Token": token()} if token else {}
        try:
            async with self._session.request(
                method, self._base + path, json=body, headers=headers
            ) as answer:
                status, text = answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            cause = type(error).__name__
            raise Unreachable("Chroma does not answer", cause=cause) from error
        if status >= 500 or status == 429:
            raise Unreachable("Chroma cannot answer now", status=status)
        if status >= 400 and status not in passing:
            raise Refused("Chroma refused", status=status, said=text[:200])
        return status, json.loads(text) if status < 400 and text else None


class ChromaCollection:
    """`tandemkit.storage.vectors.protocol.Collection`."""

    def __init__(self, store: ChromaVectors, name: str, key: str, plan: Plan) -> None:
        self._store, self.name, self._key, self.plan = store, name, key, plan

    async def upsert(self, points: Sequence[Point], space: Space) -> None:
        checks.check_space(self.plan.space, space)
        checks.check_points(points, self.plan)
        ids = [point.id for point in points]
        there = await self._ask("/get", {"ids": ids, "include": ["metadatas"]})
        # Chroma keeps what a new version does not name, so it is taken away by name.
        old = dict(zip(there["ids"], there["metadatas"], strict=True))
        body = {
            "ids": ids,
            "embeddings": [point.values.tolist() for point in points],
            "metadatas": [
                {**dict.fromkeys(old.get(point.id) or ()), **metadata_of(point)} for point in points
            ],
        }
        await self._ask("/upsert", body)

    async def delete(self, ids: Sequence[str] = (), where: Filter | None = None) -> int:
        checks.check_delete(ids, where)
        if where is None:
            found = (await self._ask("/get", {"ids": [*ids], "include": []}))["ids"]
        else:
            found = [one async for part in self._ids(where) for one in part]
        for at in range(0, len(found), _PART):
            await self._ask("/delete", {"ids": found[at : at + _PART]})
        return len(found)

    async def fetch(self, ids: Sequence[str]) -> tuple[Point, ...]:
        checks.check_ids(ids)
        if not ids:
            return ()
        found = await self._ask("/get", {"ids": [*ids], "include": ["embeddings", "metadatas"]})
        return in_order(_points(found), ids)

    async def page(
        self, after: str = "", limit: int = PAGE_POINTS_MAX, where: Filter = ()
    ) -> tuple[Point, ...]:
        """Reads every id: Chroma lists in no order."""
        checks.check_page(limit)
        checks.check_filter(where)
        return await self.fetch(await first_ids(self._ids(where), after, limit))

    async def search(self, query: Query) -> tuple[Hit, ...]:
        checks.check_query(query, self.plan)
        if query.exact:
            return await exact_hits(self._parts(query.where), self.plan, query)
        body = {
            "query_embeddings": [query.values.tolist()],
            "n_results": query.k,
            "include": ["distances", "metadatas"],
            **where_of(query.where),
        }
        found = await self._ask("/query", body)
        told = zip(found["ids"][0], found["distances"][0], found["metadatas"][0], strict=True)
        hits = [Hit(one, self._score(far), labels_in(meta[ALL])) for one, far, meta in told]
        return tuple(sorted(hits, key=lambda hit: -hit.score))

    async def count(self, where: Filter = ()) -> int:
        checks.check_filter(where)
        if not where:
            return int(await self._ask("/count", None, "GET"))
        return sum([len(part) async for part in self._ids(where)])

    def _score(self, distance: float) -> float:
        if self.plan.metric is Metric.L2:
            return -float(np.sqrt(max(distance, 0.0)))
        return 1.0 - distance

    async def _ids(self, where: Filter) -> AsyncIterator[list[str]]:
        async for found in self._listed(where, []):
            yield found["ids"]

    async def _parts(self, where: Filter) -> AsyncIterator[list[Point]]:
        async for found in self._listed(where, ["embeddings", "metadatas"]):
            if points := _points(found):
                yield points

    async def _listed(self, where: Filter, include: list[str]) -> AsyncIterator[Any]:
        at = 0
        while True:
            body = {"limit": _PART, "offset": at, "include": include, **where_of(where)}
            found = await self._ask("/get", body)
            yield found
            at += _PART
            if len(found["ids"]) < _PART:
                return

    async def _ask(self, path: str, body: object, method: str = "POST") -> Any:
        status, found = await self._store.ask(
            method, f"/{self._key}{path}", body, passing=(_MISSING,)
        )
        if status == _MISSING:
            raise CollectionMissing(self.name)
        return found


def _plan_in(found: Mapping[str, Any]) -> Plan:
    said = found.get("metadata") or {}
    try:
        space = Space(said["model"], said["version"], int(said["dimension"]))
        return Plan(space, Metric(said["metric"]), Index(said["index"]))
    except (KeyError, ValueError) as error:
        message = "the collection was not made by Tandem: its vectors' space is not known"
        raise Refused(message, collection=found["name"]) from error


def _points(found: Mapping[str, Any]) -> list[Point]:
    told = zip(found["ids"], found["embeddings"], found["metadatas"], strict=True)
    return [
        Point(one, np.array(numbers, np.float32), labels_in(meta[ALL]))
        for one, numbers, meta in told
    ]


@asynccontextmanager
async def chroma_vectors(place: ChromaPlace) -> AsyncIterator[ChromaVectors]:
    """The collections there whose names begin with `tandem-`; connects with each call."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_S_MAX)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        yield ChromaVectors(place, session)
