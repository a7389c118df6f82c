"""Vectors between messages and what stores take."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from services.memory.vector_store.names import told_as
from tandem.memory.v1 import vector_collection_pb2 as nouns
from tandemkit.storage.vectors.protocol import Collection, Hit, Index, Metric, Plan, Point, Values
from tandemkit.storage.vectors.wire import label_messages, labels_of, space_message

_METRICS = {
    nouns.VECTOR_METRIC_COSINE: Metric.COSINE,
    nouns.VECTOR_METRIC_DOT: Metric.DOT,
    nouns.VECTOR_METRIC_L2: Metric.L2,
}
_INDEXES = {
    nouns.VECTOR_INDEX_AUTO: Index.AUTO,
    nouns.VECTOR_INDEX_FLAT: Index.FLAT,
    nouns.VECTOR_INDEX_HNSW: Index.HNSW,
    nouns.VECTOR_INDEX_IVF: Index.IVF,
}
_METRICS_TOLD = {one: told for told, one in _METRICS.items()}
_INDEXES_TOLD = {one: told for told, one in _INDEXES.items()}


def metric_of(told: nouns.VectorMetric.ValueType) -> Metric:
    return _METRICS.get(told, Metric.COSINE)


def index_of(told: nouns.VectorIndex.ValueType) -> Index:
    return _INDEXES.get(told, Index.AUTO)


def values_of(numbers: Iterable[float]) -> Values:
    return np.fromiter(numbers, np.float32)


def point_of(message: nouns.VectorPoint) -> Point:
    return Point(message.id, values_of(message.values), labels_of(message.labels))


def point_message(point: Point, *, with_values: bool = True) -> nouns.VectorPoint:
    values = point.values.tolist() if with_values else ()
    return nouns.VectorPoint(id=point.id, values=values, labels=label_messages(point.labels))


def hit_message(hit: Hit) -> nouns.VectorHit:
    return nouns.VectorHit(id=hit.id, score=hit.score, labels=label_messages(hit.labels))


def collection_message(collection: Collection, points: int = 0) -> nouns.VectorCollection:
    plan: Plan = collection.plan
    return nouns.VectorCollection(
        name=told_as(collection.name),
        space=space_message(plan.space),
        metric=_METRICS_TOLD[plan.metric],
        index=_INDEXES_TOLD[plan.index],
        points=points,
    )
