"""The model that Tandem comes with, held to the suite and to what others published of it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tandemkit.ml.embedding.local import LocalModel, local_embedder
from tandemkit.ml.embedding.places import FILES, MODEL
from tandemkit.ml.embedding.protocol import Embedder, ModelMissing
from tandemkit.reach.failure import Refused
from tandemkit.testing.parts import demand
from tests.contract.embedding.suite import CutSuite, EmbedderSuite, cosine

# What its makers say that it answers, computed with torch.
PUBLISHED = (
    ("The weather is lovely today.", "It's so sunny outside!", 0.6660),
    ("The weather is lovely today.", "He drove to the stadium.", 0.1046),
    ("It's so sunny outside!", "He drove to the stadium.", 0.1411),
)
FIRST_NUMBERS = {
    "This is an example sentence": (0.0676569, 0.0634959, 0.0487131),
    "Each sentence is converted": (0.0864386, 0.1027626, 0.0053946),
}


@pytest.fixture(scope="module")
def folder() -> Path:
    return demand("minilm")[FILES[0]].parent


@pytest.mark.real("minilm")
class TestLocal(EmbedderSuite, CutSuite):
    @pytest.fixture
    async def embedder(self, folder: Path) -> AsyncIterator[Embedder]:
        async with local_embedder(LocalModel(MODEL, folder)) as embedder:
            yield embedder

    async def test_the_numbers_are_those_of_torch(self, embedder: Embedder) -> None:
        """To the last digit that was published."""
        for one, other, published in PUBLISHED:
            found = await embedder.embed([one, other])
            assert cosine(*found) == pytest.approx(published, abs=6e-5)
        for text, numbers in FIRST_NUMBERS.items():
            (alone,) = await embedder.embed([text])
            assert list(alone.vector[:3]) == pytest.approx(numbers, abs=2e-7)


@pytest.mark.real("minilm")
async def test_weights_that_are_not_the_model_are_refused(folder: Path, tmp_path: Path) -> None:
    """By their sum, which the refusal tells; one that is put right is loaded then."""
    for name in FILES:
        (tmp_path / name).symlink_to(folder / name)
    weights = tmp_path / FILES[0]
    async with local_embedder(LocalModel(MODEL, tmp_path)) as embedder:
        weights.unlink()
        with pytest.raises(ModelMissing) as missing:
            await embedder.embed(["a"])
        assert missing.value.metadata["missing"] == FILES[0]
        shutil.copyfile(folder / FILES[2], weights)
        with pytest.raises(Refused) as refused:
            await embedder.embed(["a"])
        assert refused.value.metadata["wanted"].startswith("53aa5117")
        weights.unlink()
        weights.symlink_to(folder / FILES[0])
        assert len(await embedder.embed(["a"])) == 1
