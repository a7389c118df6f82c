"""Documents over gRPC: taken in, found with their places, kept over a restart, and gone when they
are deleted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from services.memory.knowledge_base import meaning
from tandem.memory.v1 import degradation_pb2 as degradation
from tandem.memory.v1 import ingest_pb2 as nouns
from tandem.memory.v1 import knowledge_base_service_pb2 as pb
from tandem.memory.v1 import label_filter_pb2 as labels
from tandemkit.storage.vectors.protocol import CHOICES_MAX
from tandemkit.testing.failures import failure_of
from tests.unit.services.memory.knowledge_base.asking import (
    Embedder,
    holding,
    inline,
    knowledge_base,
    last,
)

GARDEN = """# Garden

A trellis is a frame for plants that climb. {long}

## Watering

Water tomatoes in the morning, and never on their leaves. {long}

## Tools

- A spade, for digging. {long}
- Secateurs, for roses.
""".format(long="What grows wants to be looked at every day. " * 12)
KITCHEN = """# Kitchen

Tomatoes keep their taste at room temperature.
"""


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    found = failure_of(caught.value)
    return found.code, found.reason


async def test_m052_every_hit_has_its_place(tmp_path: Path) -> None:
    """By words, by meaning and by both: passage, headings, span and ranks."""
    async with knowledge_base(tmp_path) as base:
        done = await base.ingest([inline(GARDEN, "garden", uri="garden.md"), inline(KITCHEN)])
        assert (done.state, done.added, done.failed) == (nouns.INGEST_STATE_DONE, 2, 0)
        await base.embedded()
        for mode in (pb.SEARCH_MODE_LEXICAL, pb.SEARCH_MODE_VECTOR, pb.SEARCH_MODE_HYBRID):
            found = await base.search(GARDEN.split("## ")[1], mode=mode)
            assert not found.degraded
            assert "morning" in found.hits[0].passage.text
            assert found.hits[0].passage.uri == "garden.md"
            assert list(found.hits[0].passage.headings) == ["Garden", "Watering"]
            await base.check_spans(found)
            has_vectors = mode != pb.SEARCH_MODE_LEXICAL
            assert bool(found.hits[0].vector_rank) is has_vectors
            assert found.HasField("space") is has_vectors


async def test_what_was_ingested_is_there_after_a_restart(tmp_path: Path) -> None:
    """Text and vectors; what is missing of these is made again."""
    embedder = Embedder()
    async with knowledge_base(tmp_path, embedder) as base:
        await base.ingest([inline(GARDEN, "garden")])
        await base.embedded()
    async with knowledge_base(tmp_path, embedder) as base:
        found = await base.search("secateurs roses")
        assert "Secateurs" in found.hits[0].passage.text
        await base.embedded()
        found = await base.search("secateurs roses", mode=pb.SEARCH_MODE_VECTOR)
        assert "Secateurs" in found.hits[0].passage.text


async def test_without_an_embedder_words_answer_and_say_so(tmp_path: Path) -> None:
    """Also where vectors alone were asked for; nothing found is no failure."""
    embedder = Embedder()
    embedder.is_away = True
    async with knowledge_base(tmp_path, embedder) as base:
        await base.ingest([inline(GARDEN)])
        for mode in (pb.SEARCH_MODE_VECTOR, pb.SEARCH_MODE_HYBRID):
            found = await base.search("spade", mode=mode)
            assert list(found.degraded) == [degradation.DEGRADATION_LEXICAL_ONLY]
            assert "spade" in found.hits[0].passage.text
        assert not (await base.search("zeppelin")).hits


async def test_no_word_of_a_query_is_syntax(tmp_path: Path) -> None:
    """Whatever somebody types is looked for."""
    async with knowledge_base(tmp_path) as base:
        await base.ingest([inline("The NEAR and the OR of spade* (far).", "odd")])
        for query in ('spade" OR "', "NEAR(", "spade*", "body:spade", "^-{}()'\";\0", "AND OR NOT"):
            await base.search(query, mode=pb.SEARCH_MODE_LEXICAL)
        assert (await base.search("body:spade", mode=pb.SEARCH_MODE_LEXICAL)).hits


@pytest.mark.parametrize("named_max", [CHOICES_MAX, 0])
async def test_filters_hold_for_words_and_for_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named_max: int
) -> None:
    """Documents, subjects, labels and where documents come from; also where too many documents are
    left to be named in a search of vectors.
    """
    monkeypatch.setattr(f"{meaning.__name__}.CHOICES_MAX", named_max)
    spring = labels.Label(key="season", texts=labels.TextSet(texts=["spring"]))
    async with knowledge_base(tmp_path) as base:
        await base.ingest(
            [
                inline(GARDEN, "garden", uri="a/garden.md", labels=[spring]),
                inline(KITCHEN, "kitchen", uri="b/kitchen.md", subjects=["Ann  Lee"]),
            ]
        )
        await base.embedded()
        in_spring = labels.LabelFilter(
            conditions=[labels.LabelCondition(key="season", one_of=spring.texts)]
        )
        for said, document in (
            (pb.KnowledgeFilter(documents=["namespaces/default/documents/garden"]), "garden"),
            (pb.KnowledgeFilter(subjects=["ann lee"]), "kitchen"),
            (pb.KnowledgeFilter(uri_prefix="b/"), "kitchen"),
            (pb.KnowledgeFilter(labels=in_spring), "garden"),
        ):
            by_meaning = await base.search("tomatoes", filter=said, mode=pb.SEARCH_MODE_VECTOR)
            assert by_meaning.hits
            found = await base.search("tomatoes", filter=said)
            found.hits.extend(by_meaning.hits)
            assert {one.passage.document for one in found.hits} == {
                f"namespaces/default/documents/{document}"
            }
        nothing = pb.KnowledgeFilter(subjects=["Nobody"])
        assert not (await base.search("tomatoes", filter=nothing)).hits


async def test_a_namespace_sees_its_own_alone(tmp_path: Path) -> None:
    """Searches and listings of another one are empty."""
    async with knowledge_base(tmp_path) as base:
        await base.ingest([inline(GARDEN, "garden")], namespace="ours")
        await base.embedded("ours")
        assert (await base.search("spade", namespace="ours")).hits
        for namespace in ("", "ours-2"):
            found = await base.search("spade", namespace=namespace)
            assert (list(found.hits), list(found.degraded)) == ([], [])
            assert not (await base.documents(namespace)).documents


async def test_only_what_changed_is_embedded_again(tmp_path: Path) -> None:
    """A document that is there as it is costs nothing, a changed one its changed passages."""
    embedder = Embedder()
    async with knowledge_base(tmp_path, embedder) as base:
        await base.ingest([inline(GARDEN, "garden")])
        await base.embedded()
        before = len(embedder.texts)
        again = await base.ingest([inline(GARDEN, "garden")])
        assert (again.unchanged, again.changed) == (1, 0)
        drier = GARDEN.replace("morning", "evening")
        changed = await base.ingest([inline(drier, "garden")])
        await base.embedded()
        assert (changed.changed, changed.passages_added) == (1, 1)
        assert len(embedder.texts) == before + 1
        assert not (await base.search("morning", mode=pb.SEARCH_MODE_LEXICAL)).hits
        await base.check_spans(await base.search("spade secateurs evening frame"))


async def test_an_ingest_id_is_one_ingest(tmp_path: Path) -> None:
    """Told of again when it is asked for again; another order may not have it."""
    async with knowledge_base(tmp_path) as base:
        await base.ingest([inline(GARDEN)], ingest_id="mine")
        again = await base.ingest([inline(GARDEN)], ingest_id="mine")
        assert (again.added, again.unchanged) == (1, 0)
        other = pb.IngestDocumentsRequest(
            documents=pb.InlineDocuments(documents=[inline(KITCHEN)]), ingest_id="mine"
        )
        assert await refused(last(base.stub.IngestDocuments(other))) == (
            grpc.StatusCode.ALREADY_EXISTS,
            "REQUEST_ID_TAKEN",
        )


async def test_a_document_that_fails_ends_nothing(tmp_path: Path) -> None:
    """The others are taken in, and why it failed is told."""
    async with knowledge_base(tmp_path, document_bytes_max=200) as base:
        done = await base.ingest(
            [
                inline("x" * 300, "large"),
                pb.InlineDocument(document_id="zip", content=b"PK\x03\x04....", uri="a.bin"),
                inline("A spade.", "good"),
            ]
        )
        assert (done.state, done.added, done.failed) == (nouns.INGEST_STATE_DONE, 1, 2)
        assert [(one.document_id, one.fault) for one in done.failures] == [
            ("large", nouns.DOCUMENT_FAULT_TOO_LARGE),
            ("zip", nouns.DOCUMENT_FAULT_MEDIA_TYPE_UNKNOWN),
        ]


async def test_a_deleted_document_is_in_no_answer_and_no_file(tmp_path: Path) -> None:
    """Whoever greps the files finds no word of it."""
    async with knowledge_base(tmp_path) as base:
        planted = KITCHEN + "\nThe zarquon blooms in June.\n"
        await base.ingest([inline(planted, "kitchen"), inline(GARDEN, "garden")])
        await base.embedded()
        name = "namespaces/default/documents/kitchen"
        gone = await base.stub.DeleteDocument(pb.DeleteDocumentRequest(name=name))
        assert gone.was_there
        assert not (await base.search("zarquon", mode=pb.SEARCH_MODE_LEXICAL)).hits
        assert (await base.search("tomatoes")).hits
        again = await base.stub.DeleteDocument(pb.DeleteDocumentRequest(name=name))
        assert not again.was_there
        assert not holding(tmp_path, b"zarquon")
        missing = pb.GetDocumentRequest(name=name)
        assert (await refused(base.stub.GetDocument(missing)))[1] == "DOCUMENT_NOT_FOUND"
