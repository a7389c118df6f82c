"""Row M052: what both ways of searching find together is better than what either finds alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from tandemkit.ml.embedding.places import FILES
from tandemkit.testing.parts import demand
from tests.bench.quality.labels import LabelledSet
from tests.bench.quality.own_documents import own_documents
from tests.bench.quality.remembered import remembered
from tests.bench.quality.runs import asked
from tests.repo.checkout import root

_PAGES = 10


def _most_asked(labelled: LabelledSet) -> LabelledSet:
    """The design pages that most questions are about: a set that is embedded within seconds."""
    asked_of = Counter(one.answer.document for one in labelled.questions)
    pages = sorted(name for name in labelled.documents if name.startswith("docs/design/"))
    chosen = sorted(pages, key=lambda name: -asked_of[name])[:_PAGES]
    questions = [one for one in labelled.questions if one.answer.document in chosen]
    documents = {name: labelled.documents[name] for name in chosen}
    return replace(labelled, documents=documents, questions=questions)


@pytest.mark.real("minilm")
@pytest.mark.timeout(240)
async def test_m052_hybrid_beats_each_alone_on_questions_that_people_wrote(tmp_path: Path) -> None:
    """Fused by their ranks, words and vectors find more of what is right, and sooner."""
    labelled = _most_asked(own_documents(root()))
    async with remembered(demand("minilm")[FILES[0]].parent, tmp_path) as embedder:
        found = await asked(labelled, None, embedder, tmp_path)
    gain = {
        way: fmean(one.scores[way]["nDCG@10"] for one in found)
        for way in ("words", "vectors", "hybrid")
    }
    assert len(found) >= 40
    assert gain["hybrid"] > max(gain["words"], gain["vectors"]) > 0.4, gain
