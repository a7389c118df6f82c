"""Vectors of words' hashes, held to the suite."""

from __future__ import annotations

import pytest

from tandemkit.ml.embedding.hashing import HashingEmbedder
from tandemkit.ml.embedding.protocol import Embedder
from tests.contract.embedding.suite import CutSuite, EmbedderSuite


class TestHashing(EmbedderSuite, CutSuite):
    @pytest.fixture
    def embedder(self) -> Embedder:
        return HashingEmbedder("words")


async def test_two_of_one_name_agree() -> None:
    """Its vectors depend on nothing but the text: not on the process, not on the order."""
    one, other = HashingEmbedder("words", 8), HashingEmbedder("words", 8)
    assert await one.embed(["Ada wrote it"]) == await other.embed(["ada WROTE it!"])
    (found,) = await one.embed(["Ada wrote it"])
    assert [round(number, 3) for number in found.vector] == [0, 0, 0, 0.949, 0, 0, 0, -0.316]
