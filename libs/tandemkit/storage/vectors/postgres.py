"""Vectors in a PostgreSQL that has the extension `vector`: a table for each collection."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import numpy as np
import psycopg

from tandemkit.reach.failure import Refused
from tandemkit.storage.postgres_pool import Connection, Pool, pool, rows_of, transaction
from tandemkit.storage.vectors import checks
from tandemkit.storage.vectors.far import in_order
from tandemkit.storage.vectors.protocol import (
    PAGE_POINTS_MAX,
    CollectionMissing,
    Condition,
    Filter,
    Hit,
    Index,
    Metric,
    OneOf,
    Plan,
    Point,
    Query,
    Space,
    Values,
    Within,
)
from tandemkit.storage.vectors.texts import labels_in, labels_text

_SCHEMA = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE IF NOT EXISTS tandem_vectors (
    number serial PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    model text NOT NULL,
    version text NOT NULL,
    dimension integer NOT NULL,
    metric text NOT NULL,
    search text NOT NULL
);
"""
_FIND = (
    "SELECT number, model, version, dimension, metric, search FROM tandem_vectors WHERE name = %s"
)
_ADD = """
INSERT INTO tandem_vectors (name, model, version, dimension, metric, search)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (name) DO NOTHING RETURNING number
"""
# How the extension compares, and names the operators of an index that does.
_COMPARED = {
    Metric.COSINE: ("<=>", "vector_cosine_ops"),
    Metric.DOT: ("<#>", "vector_ip_ops"),
    Metric.L2: ("<->", "vector_l2_ops"),
}
# More numbers than that no index of it takes; they are all compared.
_INDEXED_DIMENSION_MAX = 2000
_LOOK_MIN, _LOOK_MAX = 100, 1000


class PostgresVectors:
    """`tandemkit.storage.vectors.protocol.VectorStore`, from `postgres_vectors`."""

    remains = (
        "PostgreSQL keeps deleted vectors in the files of their tables until those are rewritten "
        "(VACUUM FULL), and in its write-ahead log until that is overwritten"
    )

    def __init__(self, connections: Pool) -> None:
        self._pool = connections

    async def create(self, name: str, plan: Plan) -> PostgresCollection:
        checks.check_name(name)
        checks.check_plan(plan)
        space = plan.space
        row = (name, space.model, space.version, space.dimension, plan.metric, plan.index)
        async with transaction(self._pool) as connection:
            made = await rows_of(connection, _ADD, *row)
            if made:
                for statement in _table(made[0][0], plan):
                    await connection.execute(statement.encode())
        collection = await self.open(name)
        checks.check_same(name, plan, collection.plan)
        return collection

    async def open(self, name: str) -> PostgresCollection:
        checks.check_name(name)
        async with transaction(self._pool) as connection:
            found = await rows_of(connection, _FIND, name)
        if not found:
            raise CollectionMissing(name)
        number, model, version, dimension, metric, search = found[0]
        plan = Plan(Space(model, version, dimension), Metric(metric), Index(search))
        return PostgresCollection(self._pool, name, f"tandem_vectors_{number}", plan)

    async def names(self) -> tuple[str, ...]:
        async with transaction(self._pool) as connection:
            found = await rows_of(connection, "SELECT name FROM tandem_vectors ORDER BY name")
        return tuple(name for (name,) in found)

    async def drop(self, name: str) -> bool:
        query = "DELETE FROM tandem_vectors WHERE name = %s RETURNING number"
        async with transaction(self._pool) as connection:
            gone = await rows_of(connection, query, name)
            for (number,) in gone:
                await connection.execute(f"DROP TABLE tandem_vectors_{number}".encode())
        return bool(gone)

    async def check(self) -> None:
        await self.names()


class PostgresCollection:
    """`tandemkit.storage.vectors.protocol.Collection`."""

    def __init__(self, connections: Pool, name: str, table: str, plan: Plan) -> None:
        self._pool, self.name, self._table, self.plan = connections, name, table, plan

    async def upsert(self, points: Sequence[Point], space: Space) -> None:
        checks.check_space(self.plan.space, space)
        checks.check_points(points, self.plan)
        query = f"""
        INSERT INTO {self._table} (id, vector, labels, texts) VALUES (%s, %s::vector, %s, %s)
        ON CONFLICT (id) DO UPDATE SET
            vector = excluded.vector, labels = excluded.labels, texts = excluded.texts
        """
        # In one order, so that two who write the same points do not wait for each other in a ring.
        told = [_row(point) for point in sorted(points, key=lambda one: one.id)]
        async with self._transaction() as connection, connection.cursor() as cursor:
            await cursor.executemany(query.encode(), told)

    async def delete(self, ids: Sequence[str] = (), where: Filter | None = None) -> int:
        checks.check_delete(ids, where)
        text, values = ("id = ANY(%s)", [[*ids]]) if where is None else _holding(where)
        async with self._transaction() as connection:
            query = f"DELETE FROM {self._table} WHERE {text}"
            return (await connection.execute(query.encode(), values)).rowcount

    async def fetch(self, ids: Sequence[str]) -> tuple[Point, ...]:
        checks.check_ids(ids)
        query = f"SELECT id, vector::text, labels::text FROM {self._table} WHERE id = ANY(%s)"
        async with self._transaction() as connection:
            found = await rows_of(connection, query, [*ids])
        return in_order(map(_point, found), ids)

    async def page(
        self, after: str = "", limit: int = PAGE_POINTS_MAX, where: Filter = ()
    ) -> tuple[Point, ...]:
        checks.check_page(limit)
        checks.check_filter(where)
        text, values = _holding(where)
        query = (
            f"SELECT id, vector::text, labels::text FROM {self._table} "
            f"WHERE id > %s AND {text} ORDER BY id LIMIT %s"
        )
        async with self._transaction() as connection:
            return tuple(map(_point, await rows_of(connection, query, after, *values, limit)))

    async def search(self, query: Query) -> tuple[Hit, ...]:
        checks.check_query(query, self.plan)
        async with self._transaction() as connection:
            if not query.exact:
                look = min(max(_LOOK_MIN, 2 * query.k), _LOOK_MAX)
                await connection.execute(f"SET LOCAL hnsw.ef_search = {look}".encode())
                found = await self._nearest(connection, query)
                # A graph looks at so many and no further, whatever the filter leaves of them.
                if len(found) == query.k or len(found) == await self._counted(connection, query):
                    return found
            await connection.execute(b"SET LOCAL enable_indexscan = off")
            return await self._nearest(connection, query)

    async def count(self, where: Filter = ()) -> int:
        checks.check_filter(where)
        text, values = _holding(where)
        async with self._transaction() as connection:
            query = f"SELECT count(*) FROM {self._table} WHERE {text}"
            ((found,),) = await rows_of(connection, query, *values)
        return int(found)

    async def _nearest(self, connection: Connection, query: Query) -> tuple[Hit, ...]:
        operator, _ = _COMPARED[self.plan.metric]
        text, values = _holding(query.where)
        asked, far = _vector(query.values), f"vector {operator} %s::vector"
        found = await rows_of(
            connection,
            f"SELECT id, {far}, labels::text FROM {self._table} "
            f"WHERE {text} ORDER BY {far} LIMIT %s",
            asked,
            *values,
            asked,
            query.k,
        )
        # The extension tells distances, and of inner products the negated one.
        base = 1.0 if self.plan.metric is Metric.COSINE else 0.0
        return tuple(Hit(one, base - float(away), labels_in(told)) for one, away, told in found)

    async def _counted(self, connection: Connection, query: Query) -> int:
        text, values = _holding(query.where)
        some = f"SELECT 1 FROM {self._table} WHERE {text} LIMIT %s"
        ((found,),) = await rows_of(
            connection, f"SELECT count(*) FROM ({some}) AS found", *values, query.k
        )
        return int(found)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        try:
            async with transaction(self._pool) as connection:
                yield connection
        except psycopg.errors.UndefinedTable as error:
            raise CollectionMissing(self.name) from error


def _table(number: int, plan: Plan) -> Iterator[str]:
    table = f"tandem_vectors_{number}"
    yield (
        f'CREATE TABLE {table} (id text COLLATE "C" PRIMARY KEY, '
        f"vector vector({plan.space.dimension}) NOT NULL, labels jsonb NOT NULL, "
        "texts text[] NOT NULL)"
    )
    yield f"CREATE INDEX ON {table} USING gin (texts)"
    if plan.index is not Index.FLAT and plan.space.dimension <= _INDEXED_DIMENSION_MAX:
        _, operators = _COMPARED[plan.metric]
        yield f"CREATE INDEX ON {table} USING hnsw (vector {operators})"


def _row(point: Point) -> tuple[object, ...]:
    texts = [
        f"{key}={text}"
        for key, label in point.labels.items()
        if isinstance(label, tuple)
        for text in label
    ]
    return point.id, _vector(point.values), labels_text(point.labels), texts


def _vector(values: Values) -> str:
    return json.dumps(values.tolist())


def _point(row: tuple[Any, ...]) -> Point:
    one, vector, labels = row
    return Point(one, np.array(json.loads(vector), np.float32), labels_in(labels))


def _holding(where: Filter) -> tuple[str, list[object]]:
    told = [_condition(one) for one in where]
    text = " AND ".join(text for text, _ in told) or "true"
    return text, [value for _, values in told for value in values]


def _condition(condition: Condition) -> tuple[str, list[object]]:
    key = condition.key
    match condition.holds:
        case OneOf(texts):
            text, values = "texts && %s::text[]", [[f"{key}={one}" for one in texts]]
            told: list[object] = [*values]
        case Within(least, most):
            # A label without a number is none that lies anywhere.
            number = "CASE WHEN jsonb_typeof(labels->%s) = 'number' THEN (labels->>%s)::float8 END"
            text = f"coalesce({number} BETWEEN %s::float8 AND %s::float8, false)"
            told = [key, key, least, most]
        case _:
            text, told = "jsonb_exists(labels, %s)", [key]
    return (f"NOT ({text})" if condition.negated else text), told


@contextmanager
def _needing_extension() -> Iterator[None]:
    try:
        yield
    except (psycopg.errors.UndefinedFile, psycopg.errors.FeatureNotSupported) as error:
        message = "this PostgreSQL has no extension `vector`: install pgvector on its machine"
        raise Refused(message) from error


@asynccontextmanager
async def postgres_vectors(dsn: str) -> AsyncIterator[PostgresVectors]:
    """The collections in that database. Raises Unreachable, and Refused where the server lacks the
    extension.
    """
    with _needing_extension():
        async with pool(dsn, _SCHEMA) as connections:
            yield PostgresVectors(connections)
