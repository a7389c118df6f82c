"""Facts and the ways between them, as functions of one transaction."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from services.memory.knowledge_base.facts import folded_name

_FACTS: Final = """
SELECT facts.key, facts.subject, facts.predicate, facts.object, facts.passage, documents.id,
    facts.subject_folded, facts.object_folded
FROM facts JOIN passages ON passages.key = facts.passage
JOIN documents ON documents.key = passages.document
WHERE
"""
SEEN_MAX: Final = 10_000
_NEAR_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Fact:
    key: int
    subject: str
    predicate: str
    object: str
    passage: int
    document: str
    subject_folded: str
    object_folded: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Which facts: empty is any."""

    subject: str = ""
    predicate: str = ""
    object: str = ""


@dataclass(frozen=True, slots=True)
class Path:
    facts: tuple[Fact, ...]
    is_partial: bool


def page(
    database: sqlite3.Connection, space: int, asked: Asked, after: int, limit: int
) -> list[Fact]:
    """In the order of their keys, from behind one."""
    conditions, values = ["facts.space = ?", "facts.key > ?"], list[object]((space, after))
    for column, said in (
        ("subject_folded", folded_name(asked.subject)),
        ("predicate", asked.predicate),
        ("object_folded", folded_name(asked.object)),
    ):
        if said:
            conditions.append(f"facts.{column} = ?")
            values.append(said)
    where = " AND ".join(conditions)
    chosen = f"{_FACTS} {where} ORDER BY facts.key LIMIT ?"
    return [Fact(*row) for row in database.execute(chosen, (*values, limit))]


def path(database: sqlite3.Connection, space: int, ends: tuple[str, str], facts_max: int) -> Path:
    """The shortest, whichever way its facts are said."""
    start, goal = (folded_name(one) for one in ends)
    if start == goal:
        return Path((), is_partial=False)
    ways: dict[str, tuple[Fact, ...]] = {start: ()}
    waiting = deque([start])
    seen = 0
    while waiting:
        here = waiting.popleft()
        if len(ways[here]) == facts_max:
            continue
        for fact in _near(database, space, here):
            seen += 1
            there = fact.object_folded if fact.subject_folded == here else fact.subject_folded
            if there in ways:
                continue
            ways[there] = (*ways[here], fact)
            if there == goal:
                return Path(ways[there], is_partial=False)
            waiting.append(there)
        if seen >= SEEN_MAX:
            return Path((), is_partial=True)
    return Path((), is_partial=False)


def _near(database: sqlite3.Connection, space: int, name: str) -> Iterator[Fact]:
    for column in ("facts.subject_folded", "facts.object_folded"):
        chosen = f"{_FACTS} facts.space = ? AND {column} = ? LIMIT ?"
        for row in database.execute(chosen, (space, name, _NEAR_MAX)):
            yield Fact(*row)
