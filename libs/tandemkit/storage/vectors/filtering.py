"""Filters as SQL over the tables of `rows`."""

from __future__ import annotations

from tandemkit.storage.vectors.protocol import Condition, Filter, OneOf, Within

_ALL = "SELECT number FROM points WHERE collection = ?"
_TEXTS = "SELECT number FROM texts WHERE collection = ? AND key = ?"
_NUMBERS = "SELECT number FROM numbers WHERE collection = ? AND key = ?"


def chosen(collection: int, where: Filter) -> tuple[str, list[object]]:
    """A query for the numbers of the points that fulfil `where`, and the values in it."""
    wanted = [_holding(collection, one) for one in where if not one.negated]
    unwanted = [_holding(collection, one) for one in where if one.negated]
    if not wanted:
        wanted.append((_ALL, [collection]))
    query = " INTERSECT ".join(f"SELECT number FROM ({text})" for text, _ in wanted)
    query += "".join(f" EXCEPT SELECT number FROM ({text})" for text, _ in unwanted)
    return query, [value for _, values in (*wanted, *unwanted) for value in values]


def _holding(collection: int, condition: Condition) -> tuple[str, list[object]]:
    named: list[object] = [collection, condition.key]
    match condition.holds:
        case OneOf((text,)):
            return f"{_TEXTS} AND value = ?", [*named, text]
        case OneOf(texts):
            marks = ", ".join("?" * len(texts))
            many = _TEXTS.replace("SELECT", "SELECT DISTINCT")
            return f"{many} AND value IN ({marks})", [*named, *texts]
        case Within(least, most):
            return f"{_NUMBERS} AND value BETWEEN ? AND ?", [*named, least, most]
        case _:
            return f"{_TEXTS} UNION {_NUMBERS}", [*named, *named]
