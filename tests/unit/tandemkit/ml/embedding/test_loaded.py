"""Folders with a model, and with something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tandemkit.ml.embedding.loaded import load
from tandemkit.reach.failure import Refused

HIDDEN, WORDS = 4, 3
CONFIG: dict[str, Any] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": HIDDEN,
    "intermediate_size": 8,
    "num_attention_heads": 2,
    "num_hidden_layers": 0,
    "max_position_embeddings": 256,
    "layer_norm_eps": 1e-12,
}
TOKENIZER: dict[str, Any] = {
    "version": "1.0",
    "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1, "[UNK]": 2}, "unk_token": "[UNK]"},
}
MORE_WORDS = {**TOKENIZER["model"], "vocab": {"a": 0, "b": 1, "[UNK]": 2, "c": 3}}
SHAPES = {
    "embeddings.word_embeddings.weight": (WORDS, HIDDEN),
    "embeddings.position_embeddings.weight": (256, HIDDEN),
    "embeddings.token_type_embeddings.weight": (1, HIDDEN),
    "embeddings.LayerNorm.weight": (HIDDEN,),
    "embeddings.LayerNorm.bias": (HIDDEN,),
}


def weights(shapes: dict[str, tuple[int, ...]]) -> bytes:
    """A file of safetensors, all zeros."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(end)


def written(folder: Path, **said: object) -> Path:
    """A folder with a model, but for what is said otherwise."""
    files: dict[str, object] = {"config": CONFIG, "tokenizer": TOKENIZER, **said}
    (folder / "model.safetensors").write_bytes(weights(SHAPES))
    for name in ("config", "tokenizer"):
        (folder / f"{name}.json").write_text(json.dumps(files[name]))
    return folder


def test_a_model_is_loaded_once_its_sum_is_taken_once(tmp_path: Path) -> None:
    """The next load of the same file trusts it; a file that was touched is read again."""
    folder = written(tmp_path)
    first = load(folder, "", None)
    assert (first.dimension, first.bert.words) == (HIDDEN, WORDS)
    assert load(folder, "0" * 64, first.weights).weights is first.weights
    (folder / "model.safetensors").touch()
    with pytest.raises(Refused, match="not those of the model"):
        load(folder, "0" * 64, first.weights)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"config": {**CONFIG, "model_type": "gpt2"}}, "of a kind"),
        ({"config": {**CONFIG, "max_position_embeddings": 100}}, "fewer than 256"),
        ({"config": {**CONFIG, "num_hidden_layers": 2}}, "not those of the model's config"),
        ({"config": []}, "none of a BERT"),
        ({"tokenizer": {"model": 5}}, "tokenizer.json is none"),
        ({"tokenizer": {"version": "1.0", "model": MORE_WORDS}}, "words that the weights do not"),
    ],
)
def test_what_is_no_model_is_refused_with_why(
    tmp_path: Path, said: dict[str, object], words: str
) -> None:
    """Nothing of it is computed with."""
    with pytest.raises(Refused, match=words):
        load(written(tmp_path, **said), "", None)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """With what the system says of it."""
    folder = written(tmp_path)
    (folder / "config.json").unlink()
    with pytest.raises(Refused, match=r"config\.json"):
        load(folder, "", None)
