"""Passages by their words. A query is never syntax: every word of it is quoted."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from services.memory.knowledge_base.shelf import space_word
from tandemkit.ml.text.fillers import telling
from tandemkit.ml.text.synonyms import synonyms

_PHRASE = re.compile(r'"([^"]+)"')
# A name such as tools/new_agent.py is one thing, and so are its parts.
_TERM = re.compile(r"\w+(?:[./:_'\u2019-]+\w+)*")
_PART = re.compile(r"[^\W_]+")
_TERMS_MAX: Final = 64
# Weights of the namespace, which says nothing, title, headings and text. Whoever asks mostly asks
# what some heading promises.
_RANK: Final = "bm25(0.0, 2.0, 3.0, 1.0)"
_RANK_OF_QUESTION: Final = "bm25(0.0, 3.0, 6.0, 1.0)"
_FOUND = "SELECT rowid FROM words WHERE words MATCH ? AND rank MATCH ? ORDER BY rank LIMIT ?"
_FOUND_WITHIN = """
SELECT words.rowid FROM words JOIN passages ON passages.key = words.rowid
WHERE words MATCH ? AND rank MATCH ? AND passages.document IN (SELECT value FROM json_each(?))
ORDER BY rank LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for. A question is looked for by what its words may stand for, too."""

    text: str
    is_question: bool = False


@dataclass(frozen=True, slots=True)
class Within:
    """Where to look: namespaces, and of them perhaps some documents alone."""

    spaces: tuple[int, ...]
    documents: tuple[int, ...] | None = None


def found(database: sqlite3.Connection, query: Query, within: Within, limit: int) -> list[int]:
    """Keys of passages that have any of the words, the best first."""
    asked = match_of(query, within.spaces)
    ranked = _RANK_OF_QUESTION if query.is_question else _RANK
    if not asked or within.documents == ():
        return []
    if within.documents is None:
        rows = database.execute(_FOUND, (asked, ranked, limit))
    else:
        chosen = f"[{','.join(map(str, within.documents))}]"
        rows = database.execute(_FOUND_WITHIN, (asked, ranked, chosen, limit))
    return [key for (key,) in rows]


def match_of(query: Query, spaces: Sequence[int]) -> str:
    """In the syntax of FTS5; empty where there is nothing to look for."""
    terms = list(dict.fromkeys((*_phrases(query.text), *_terms(query))))[:_TERMS_MAX]
    if not terms or not spaces:
        return ""
    where = " OR ".join(f'space : "{space_word(one)}"' for one in spaces)
    what = " OR ".join(f'"{term}"' for term in terms)
    return f"({where}) AND {{title headings body}} : ({what})"


def _phrases(query: str) -> list[str]:
    return [" ".join(_PART.findall(one)) for one in _PHRASE.findall(query) if _PART.search(one)]


def _terms(query: Query) -> list[str]:
    every = _TERM.findall(query.text.casefold())
    wholes = telling(every)
    found: list[str] = []
    for whole in wholes:
        parts = _PART.findall(whole)
        if len(parts) > 1:
            found.append(" ".join(parts))
        found += telling(parts)
    if query.is_question:
        # Some write as one word what others write as two, or with another word.
        found += [one + other for one, other in pairwise(every) if (one + other).isalpha()]
        found += [other for whole in wholes for other in sorted(synonyms(whole))]
    return found
