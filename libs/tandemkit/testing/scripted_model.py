"""A language model of a few hundred kilobytes that says what it is told to: a file that real
servers load, so that tests know what they must answer.

A llama of one layer whose attention and feed-forward weights are 0: what comes next depends on the
last token alone, by a table. A prompt is bytes, and behind a byte comes the script's first word.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tandemkit.testing.gguf import CONTROL, NORMAL, UNKNOWN, Value, Weights, write

_WIDTH: Final = 64
_HEADS: Final = 2
_BYTE: Final = 6
_END: Final = 2
_BYTES: Final = range(3, 259)
_WORDS: Final = re.compile(r"\s*\S+")
# How much likelier the script's next word is than any other: sure, however warm, or a hint. What
# was never said is as unlikely as that.
_SURE, _HINT = 40.0, 2.0
# Where a grammar forbids the script's next word, an answer in JSON comes to its end soon.
_CLOSING: Final = {ord('"'): 55.0, ord("}"): 54.0, ord("]"): 53.0}
_TEMPLATE: Final = (
    "{% if tools %}tools: {{ tools | tojson }}\n{% endif %}"
    "{% for message in messages %}{{ message.role }}: {{ message.content }}"
    "{% for call in message.tool_calls or [] %}<tool_call>"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}'
    "</tool_call>{% endfor %}\n{% endfor %}assistant:"
)

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Script:
    """An answer is the text, and then the text again where it is `endless`. One that is `varied`
    strays from it where the temperature is not 0.
    """

    text: str
    endless: bool = False
    varied: bool = False
    context_tokens: int = 2048


def write_model(path: Path, script: Script) -> Path:
    """The file of the model, which is the same for the same script."""
    pieces = pieces_of(script.text)
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    words = range(len(tokens), len(tokens) + len(pieces))
    tokens += [piece.replace(" ", "▁") for piece in pieces]
    kinds = [UNKNOWN, CONTROL, CONTROL, *[_BYTE] * 256, *[NORMAL] * (1 + len(pieces))]
    order = [_BYTES[0], *words, words[0] if script.endless else _END]
    tensors = _weights(len(tokens), order, _HINT if script.varied else _SURE)
    return write(path, _facts(tokens, kinds, script.context_tokens), tensors)


def pieces_of(text: str) -> list[str]:
    """What the model says at a time: words, each with the blank before it. One that was said
    already is said with the word behind it, for a token has one successor.
    """
    pieces: list[str] = []
    pending = ""
    for word in _WORDS.findall(text):
        pending += word
        if pending not in pieces:
            pieces.append(pending)
            pending = ""
    if pending:
        raise ValueError(f"a text cannot end as it went on before: {pending}")
    return pieces


def _weights(size: int, order: Sequence[int], loudness: float) -> dict[str, Weights]:
    draw = np.random.default_rng(1)
    # Random signs: any two tokens are as good as perpendicular.
    embedding = draw.choice([-1.0, 1.0], size=(size, _WIDTH))
    # Bytes are all alike. The first number is the same of all tokens.
    embedding[: _BYTES.stop] = embedding[0]
    embedding[:, 0] = 1.0
    table = np.zeros((size, _WIDTH))
    table[: _BYTES.stop + 1, 0] = -_SURE
    table[_END, 0] = 0.0
    for last, following in itertools.pairwise(order):
        table[following] += embedding[last] * loudness / _WIDTH
    for byte, bias in _CLOSING.items():
        table[_BYTES[byte], 0] += bias / 4
        table[_BYTES[byte]] += embedding[order[-2]] * bias * loudness / _SURE / _WIDTH
    nothing, one = np.zeros((_WIDTH, _WIDTH)), np.ones(_WIDTH)
    layer: dict[str, Numbers] = {f"attn_{name}": nothing for name in ("q", "k", "v", "output")}
    layer |= {f"ffn_{name}": nothing for name in ("gate", "up", "down")}
    layer |= {"attn_norm": one, "ffn_norm": one}
    found: dict[str, Numbers] = {"output_norm": one, "token_embd": embedding, "output": table}
    found |= {f"blk.0.{name}": value for name, value in layer.items()}
    return {f"{name}.weight": value.astype(np.float32) for name, value in found.items()}


def _facts(tokens: Sequence[str], kinds: Sequence[int], context: int) -> dict[str, Value]:
    llama: dict[str, Value] = {
        "context_length": context,
        "embedding_length": _WIDTH,
        "feed_forward_length": _WIDTH,
        "block_count": 1,
        "attention.head_count": _HEADS,
        "attention.head_count_kv": _HEADS,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.dimension_count": _WIDTH // _HEADS,
        "vocab_size": len(tokens),
    }
    vocabulary: dict[str, Value] = {
        "model": "llama",
        "tokens": tokens,
        "scores": [0.0] * len(tokens),
        "token_type": kinds,
        "unknown_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": _END,
        "add_bos_token": True,
    }
    return {
        "general.architecture": "llama",
        "general.name": "scripted",
        "tokenizer.chat_template": _TEMPLATE,
        **{f"llama.{name}": value for name, value in llama.items()},
        **{f"tokenizer.ggml.{name}": value for name, value in vocabulary.items()},
    }
