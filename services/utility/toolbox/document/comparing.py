"""The patch that turns one JSON document into another."""

from __future__ import annotations

from collections.abc import Iterator

from services.utility.toolbox.document.patches import Operation, Path, Step
from services.utility.toolbox.document.values import Budget, Value


def difference(before: Value, after: Value, budget: Budget) -> Iterator[Operation]:
    """Operations that make `before` exactly `after`; none where they are the same.

    Arrays are matched at their ends and changed in place between: not always the shortest patch,
    but one whose cost is linear.
    """
    return _changes(before, after, (), budget)


def _changes(before: Value, after: Value, path: Path, budget: Budget) -> Iterator[Operation]:
    budget.spend()
    match before, after:
        case dict(), dict():
            yield from _member_changes(before, after, path, budget)
        case list(), list():
            yield from _item_changes(before, after, path, budget)
        case _ if not _same(before, after, budget):
            yield Operation(Step.REPLACE, path, value=after)


def _member_changes(
    before: dict[str, Value], after: dict[str, Value], path: Path, budget: Budget
) -> Iterator[Operation]:
    for name in before:
        if name not in after:
            yield Operation(Step.REMOVE, (*path, name))
    for name, value in after.items():
        if name in before:
            yield from _changes(before[name], value, (*path, name), budget)
        else:
            yield Operation(Step.ADD, (*path, name), value=value)


def _item_changes(
    before: list[Value], after: list[Value], path: Path, budget: Budget
) -> Iterator[Operation]:
    shorter = min(len(before), len(after))
    head = 0
    while head < shorter and _same(before[head], after[head], budget):
        head += 1
    tail = 0
    while tail < shorter - head and _same(before[-1 - tail], after[-1 - tail], budget):
        tail += 1
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    for offset, (was, becomes) in enumerate(zip(old, new, strict=False)):
        yield from _changes(was, becomes, (*path, str(head + offset)), budget)
    for offset in range(len(old) - 1, len(new) - 1, -1):
        yield Operation(Step.REMOVE, (*path, str(head + offset)))
    for offset in range(len(old), len(new)):
        yield Operation(Step.ADD, (*path, str(head + offset)), value=new[offset])


def _same(left: Value, right: Value, budget: Budget) -> bool:
    """Stricter than equal: 1 and 1.0 are written differently, and 0.0 has a sign."""
    budget.spend()
    match left, right:
        case dict(), dict():
            return left.keys() == right.keys() and all(
                _same(value, right[name], budget) for name, value in left.items()
            )
        case list(), list():
            return len(left) == len(right) and all(
                _same(a, b, budget) for a, b in zip(left, right, strict=True)
            )
    return type(left) is type(right) and repr(left) == repr(right)
