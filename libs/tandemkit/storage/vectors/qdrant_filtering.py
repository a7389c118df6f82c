"""Filters over what Qdrant keeps beside each vector: `texts`, `numbers`, and the keys of both."""

from __future__ import annotations

import math

from qdrant_client import models

from tandemkit.storage.vectors.protocol import Condition, Filter, OneOf, Within


def filter_of(where: Filter) -> models.Filter | None:
    if not where:
        return None
    return models.Filter(
        must=[_holding(one) for one in where if not one.negated],
        must_not=[_holding(one) for one in where if one.negated],
    )


def _holding(condition: Condition) -> models.FieldCondition:
    key = condition.key
    match condition.holds:
        case OneOf(texts):
            return models.FieldCondition(key=f"texts.{key}", match=models.MatchAny(any=[*texts]))
        case Within(least, most) if math.isfinite(least) or math.isfinite(most):
            ends = models.Range(
                gte=least if math.isfinite(least) else None,
                lte=most if math.isfinite(most) else None,
            )
            return models.FieldCondition(key=f"numbers.{key}", range=ends)
        case Within():
            return _value("number_keys", key)
        case _:
            return _value("keys", key)


def _value(field: str, key: str) -> models.FieldCondition:
    return models.FieldCondition(key=field, match=models.MatchValue(value=key))
