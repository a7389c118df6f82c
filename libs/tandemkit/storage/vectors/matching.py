"""Whether labels fulfil a filter, for stores that have nobody else to ask."""

from __future__ import annotations

from collections.abc import Mapping

from tandemkit.storage.vectors.protocol import Condition, Filter, Label, OneOf, Within


def fulfils(labels: Mapping[str, Label], where: Filter) -> bool:
    return all(_holds(labels.get(one.key), one) is not one.negated for one in where)


def _holds(label: Label | None, condition: Condition) -> bool:
    match condition.holds:
        case OneOf(texts):
            return isinstance(label, tuple) and not set(texts).isdisjoint(label)
        case Within(least, most):
            return label is not None and not isinstance(label, tuple) and least <= label <= most
        case _:
            return label is not None
