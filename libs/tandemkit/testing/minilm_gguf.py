"""The embedding model of the fleet as a file that Ollama loads: the same weights, run by others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from tandemkit.ml.embedding.weights import mapped
from tandemkit.testing.gguf import CONTROL, NORMAL, Value, write

_OUTSIDE: Final = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.LayerNorm.weight": "token_embd_norm.weight",
    "embeddings.LayerNorm.bias": "token_embd_norm.bias",
}
_OF_A_LAYER: Final = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}


def write_minilm(path: Path, folder: Path) -> Path:
    """From the files of the part `minilm`, which lie in the folder."""
    said = json.loads((folder / "config.json").read_text())
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    names = dict(_OUTSIDE)
    for layer in range(said["num_hidden_layers"]):
        for theirs, ours in _OF_A_LAYER.items():
            for kind in ("weight", "bias"):
                names[f"encoder.layer.{layer}.{theirs}.{kind}"] = f"blk.{layer}.{ours}.{kind}"
    found = mapped(folder / "model.safetensors")
    tensors = {ours: found[theirs] for theirs, ours in names.items()}
    return write(path, {**_shape(said), **_vocabulary(tokenizer)}, tensors)


def _shape(said: dict[str, int]) -> dict[str, Value]:
    bert: dict[str, Value] = {
        "block_count": said["num_hidden_layers"],
        "context_length": said["max_position_embeddings"],
        "embedding_length": said["hidden_size"],
        "feed_forward_length": said["intermediate_size"],
        "attention.head_count": said["num_attention_heads"],
        "attention.layer_norm_epsilon": said["layer_norm_eps"],
        "attention.causal": False,
        # The mean of all tokens.
        "pooling_type": 1,
    }
    return {"general.architecture": "bert"} | {f"bert.{name}": one for name, one in bert.items()}


def _vocabulary(tokenizer: dict[str, dict[str, dict[str, int]]]) -> dict[str, Value]:
    numbers = tokenizer["model"]["vocab"]
    words = sorted(numbers, key=lambda word: numbers[word])
    is_special = [word.startswith("[") and word.endswith("]") for word in words]
    # Marked is what begins a word, and not what goes on with one.
    tokens = [
        word if special else word[2:] if word.startswith("##") else f"▁{word}"
        for word, special in zip(words, is_special, strict=True)
    ]
    found: dict[str, Value] = {
        "model": "bert",
        "token_type_count": 2,
        "tokens": tokens,
        "token_type": [CONTROL if special else NORMAL for special in is_special],
        "bos_token_id": numbers["[CLS]"],
        "cls_token_id": numbers["[CLS]"],
        "eos_token_id": numbers["[SEP]"],
        "separator_token_id": numbers["[SEP]"],
        "padding_token_id": numbers["[PAD]"],
        "unknown_token_id": numbers["[UNK]"],
    }
    return {f"tokenizer.ggml.{name}": one for name, one in found.items()}
