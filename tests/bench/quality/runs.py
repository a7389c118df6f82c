"""Questions of a labelled set, put to the search of KnowledgeBaseService: its library, its words,
its vectors and its fusion, without the wire.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.memory.knowledge_base import shelf
from services.memory.knowledge_base.agent import CANDIDATES
from services.memory.knowledge_base.following import Following
from services.memory.knowledge_base.library import library, pending_in, space_of
from services.memory.knowledge_base.meaning import Meaning
from services.memory.knowledge_base.ports import Embedder
from services.memory.knowledge_base.reading import Text, read
from services.memory.knowledge_base.search import HYBRID, LEXICAL, VECTOR, Search, Terms, Wanted
from services.memory.knowledge_base.shelf import Filed
from services.memory.knowledge_base.vectors import Vectors
from tandem.memory.v1 import knowledge_base_service_pb2 as pb
from tandem.memory.v1 import passage_pb2 as nouns
from tandemkit.core.clock import SystemClock
from tandemkit.ml.documents.chunking import chunks
from tandemkit.storage.vectors.memory import MemoryVectors
from tandemkit.supervise.tasks import Tasks
from tests.bench.quality.labels import Half, Judged, LabelledSet, Question, judged
from tests.bench.quality.measures import DEPTH, ndcg, recall, reciprocal_rank
from tests.cluster.eventually import eventually

_NAMESPACE = "bench"
_EMBED_S, _ALL_S = 60.0, 3600.0
WAYS: Mapping[str, pb.SearchMode.ValueType] = {
    "words": LEXICAL,
    "vectors": VECTOR,
    "hybrid": HYBRID,
}
MEASURES = {"nDCG@10": ndcg, "recall@10": recall, "MRR@10": reciprocal_rank}


@dataclass(frozen=True, slots=True)
class Asked:
    """One question with what it counts: the scores of each way, by measure."""

    question: Question
    scores: Mapping[str, Mapping[str, float]]


async def asked(
    labelled: LabelledSet, half: Half | None, embedder: Embedder, folder: Path
) -> list[Asked]:
    """Every question of a half, in all three ways."""
    parts = [
        (name, one) for name, document in labelled.documents.items() for one in chunks(document)
    ]
    numbers = {(name, one.start_char): at for at, (name, one) in enumerate(parts)}
    async with _searching(labelled, embedder, folder) as search:
        found = []
        for question in labelled.questions:
            if half in {None, question.half}:
                truth = judged(question, parts)
                scores = {way: await _scores(search, question, truth, way, numbers) for way in WAYS}
                found.append(Asked(question, scores))
        return found


async def _scores(
    search: Search,
    question: Question,
    truth: Judged,
    way: str,
    numbers: Mapping[tuple[str, int], int],
) -> dict[str, float]:
    wanted = Wanted(question.text, (_NAMESPACE,), DEPTH + len(truth.barred), WAYS[way])
    answer = await search.find(wanted)
    if answer.degraded:
        raise RuntimeError("the search went without vectors")
    ranked = [number for hit in answer.hits if (number := _number(hit, numbers)) is not None]
    allowed = [number for number in ranked if number not in truth.barred]
    return {name: measure(allowed, truth.relevant) for name, measure in MEASURES.items()}


def _number(hit: nouns.KnowledgeHit, numbers: Mapping[tuple[str, int], int]) -> int | None:
    return numbers.get((hit.passage.uri, hit.passage.span.start_char))


@asynccontextmanager
async def _searching(
    labelled: LabelledSet, embedder: Embedder, folder: Path
) -> AsyncIterator[Search]:
    """Over all documents of a set, once each passage has its vector."""
    async with library(folder / f"{labelled.name}.sqlite") as opened, Tasks() as tasks:
        await opened.write(lambda database: _file(database, labelled))
        vectors = Vectors(opened, _in_memory)
        following = Following(opened, vectors, embedder, SystemClock())
        tasks.spawn("vectors", following.run())
        following.go_on()
        await eventually(lambda: opened.read(_pending), lambda left: left == 0, within_s=_ALL_S)
        yield Search(opened, Meaning(vectors, embedder), Terms(CANDIDATES, _EMBED_S))


def _file(database: sqlite3.Connection, labelled: LabelledSet) -> None:
    space = shelf.space_key(database, _NAMESPACE)
    for number, (name, document) in enumerate(labelled.documents.items()):
        text = read(document.text.encode(), document.media_type, name)
        assert isinstance(text, Text)
        filed = Filed(
            space=space,
            id=f"d{number}",
            uri=name,
            folder="",
            path="",
            content_hash="",
            subjects=(),
            labels=b"",
            now_us=0,
        )
        shelf.put(database, filed, text)


def _pending(database: sqlite3.Connection) -> int:
    return pending_in(database, space_of(database, _NAMESPACE))


@asynccontextmanager
async def _in_memory() -> AsyncIterator[MemoryVectors]:
    yield MemoryVectors()
