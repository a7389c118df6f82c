"""The promises of `tandemkit.ml.embedding.protocol`, as tests: one suite for all backends."""

from __future__ import annotations

import asyncio
import math

import pytest

from tandemkit.ml.embedding.protocol import Embedded, Embedder, Lane, Purpose

TEXTS = (
    "The weather is lovely today.",
    "The weather is so lovely today outside!",
    "He drove to the stadium.",
)


def cosine(one: Embedded, other: Embedded) -> float:
    return math.fsum(a * b for a, b in zip(one.vector, other.vector, strict=True))


class EmbedderSuite:
    """A subclass has a fixture `embedder`, fresh for each test or shared."""

    async def test_each_text_has_a_vector_of_length_1(self, embedder: Embedder) -> None:
        """Of as many numbers as the space says."""
        found = await embedder.embed(TEXTS)
        assert len(found) == len(TEXTS)
        assert {len(one.vector) for one in found} == {embedder.space.dimension}
        assert all(cosine(one, one) == pytest.approx(1.0, abs=1e-5) for one in found)
        assert not any(one.is_truncated for one in found)

    async def test_texts_that_are_alike_lie_closer(self, embedder: Embedder) -> None:
        """Whatever the model knows, it is more than chance."""
        first, alike, other = await embedder.embed(TEXTS)
        assert cosine(first, alike) > cosine(first, other) + 0.2

    async def test_a_text_has_one_vector_in_any_company(self, embedder: Embedder) -> None:
        """Alone, in another order, among longer ones, twice, and in the other lane."""
        alone = (await embedder.embed(TEXTS[:1]))[0]
        many = await embedder.embed([" ".join(TEXTS * 9), TEXTS[1], TEXTS[0], "x", TEXTS[0]])
        bulk = await embedder.embed([TEXTS[2], TEXTS[0]], Lane.BULK)
        for found in (many[2], many[4], bulk[1]):
            assert list(found.vector) == pytest.approx(list(alone.vector), abs=2e-6)
            assert found.tokens == alone.tokens

    async def test_odd_texts_are_embedded(self, embedder: Embedder) -> None:
        """Marks, an unknown script, one letter, a word without end."""
        found = await embedder.embed(["?!", "ᚠᛇᚻ", "a", "b" * 3000, "\u200b", "e\u0301 \0"])
        assert all(cosine(one, one) == pytest.approx(1.0, abs=1e-5) for one in found)

    async def test_nothing_to_embed_is_no_call(self, embedder: Embedder) -> None:
        """An empty list has an empty answer."""
        assert await embedder.embed([]) == []

    async def test_calls_at_once_are_answered_each(self, embedder: Embedder) -> None:
        """In both lanes, none with another's vectors."""
        texts = [f"the number {number} is my number" for number in range(16)]
        wanted = await embedder.embed(texts)
        lanes = (Lane.PROMPT, Lane.BULK)
        found = await asyncio.gather(
            *(embedder.embed([text], lanes[at % 2]) for at, text in enumerate(texts))
        )
        for (one,), same in zip(found, wanted, strict=True):
            assert list(one.vector) == pytest.approx(list(same.vector), abs=2e-6)

    async def test_an_unloaded_model_comes_back(self, embedder: Embedder) -> None:
        """With the same vectors in the same space."""
        (before,) = await embedder.embed(TEXTS[:1])
        space = embedder.space
        await embedder.unload()
        await embedder.check()
        (after,) = await embedder.embed(TEXTS[:1])
        assert (after.vector, embedder.space) == (before.vector, space)

    async def test_a_purpose_may_change_what_is_embedded(self, embedder: Embedder) -> None:
        """The text is in it in any case."""
        for purpose in Purpose:
            assert embedder.phrased("text", purpose).endswith("text")


class CutSuite:
    """Of backends that know how much of a text counts; a server does not say."""

    async def test_what_is_too_long_is_cut_and_told(self, embedder: Embedder) -> None:
        """Only its beginning counts, and what follows changes nothing."""
        whole = [f"word{number % 97}" for number in range(embedder.tokens_max * 2)]
        one, other, short = await embedder.embed(
            [" ".join(whole), " ".join([*whole, "and", "more"]), "short"]
        )
        assert (one.is_truncated, other.is_truncated, short.is_truncated) == (True, True, False)
        assert one.tokens == other.tokens == embedder.tokens_max
        assert list(one.vector) == pytest.approx(list(other.vector), abs=2e-6)
