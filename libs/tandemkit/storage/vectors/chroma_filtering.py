"""Labels as Chroma's metadata, which are flat, and filters over them."""

from __future__ import annotations

from tandemkit.storage.vectors.protocol import Condition, Filter, OneOf, Point, Within
from tandemkit.storage.vectors.texts import labels_text

# All labels as they were written. Of each: its texts, its number, and that it is there.
ALL = "l"
_HUGE = 1.7e308


def metadata_of(point: Point) -> dict[str, object]:
    told: dict[str, object] = {ALL: labels_text(point.labels)}
    for key, label in point.labels.items():
        told[f"k:{key}"] = True
        if isinstance(label, tuple):
            told.update((_text_key(key, text), True) for text in label)
        else:
            told |= {f"n:{key}": float(label), f"r:{key}": True}
    return told


def _text_key(key: str, text: str) -> str:
    return f"t:{key}:{text}"


def where_of(where: Filter) -> dict[str, object]:
    told = [_condition(one) for one in where]
    if not told:
        return {}
    return {"where": told[0] if len(told) == 1 else {"$and": told}}


def _condition(condition: Condition) -> dict[str, object]:
    key = condition.key
    match condition.holds:
        case OneOf(texts):
            names = [_text_key(key, text) for text in dict.fromkeys(texts)]
            holds = {"$ne" if condition.negated else "$eq": True}
            told: list[dict[str, object]] = [{name: holds} for name in names]
            return _joined("$and" if condition.negated else "$or", told)
        case Within(least, most):
            return _range(key, least, most, negated=condition.negated)
        case _:
            return {f"k:{key}": {"$ne" if condition.negated else "$eq": True}}


def _range(key: str, least: float, most: float, *, negated: bool) -> dict[str, object]:
    # Chroma's JSON has no infinity: the largest of numbers stand for no end.
    name, least, most = f"n:{key}", max(least, -_HUGE), min(most, _HUGE)
    if negated:
        outside: list[dict[str, object]] = [{name: {"$lt": least}}, {name: {"$gt": most}}]
        return {"$or": [*outside, {f"r:{key}": {"$ne": True}}]}
    return {"$and": [{name: {"$gte": least}}, {name: {"$lte": most}}]}


def _joined(word: str, told: list[dict[str, object]]) -> dict[str, object]:
    return told[0] if len(told) == 1 else {word: told}
