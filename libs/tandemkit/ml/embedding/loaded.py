"""A model in memory: its tokenizer and its weights. Importing this imports numpy."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits
from tokenizers import Tokenizer

from tandemkit.ml.embedding.bert import Bert, Shape
from tandemkit.ml.embedding.places import FILES, TOKENS_MAX
from tandemkit.ml.embedding.protocol import Embedded
from tandemkit.ml.embedding.weights import digest, mapped
from tandemkit.reach.failure import Refused

_WEIGHTS, _TOKENIZER, _CONFIG = FILES
# Tokens of one forward pass: what it needs besides the weights is 20 MB then.
_PASS_TOKENS = 1024
# Characters that are more than enough of most texts; the word at their end may be cut in two, which
# changes no more tokens than a word can have.
_GLANCE = 8192
_WORD_TOKENS_MAX = 102
# What the forward pass is written for.
_KIND = {"model_type": "bert", "hidden_act": "gelu"}


@dataclass(frozen=True, slots=True)
class Checked:
    """Weights by their sum, and which file it was taken of."""

    sha256: str
    identity: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    bert: Bert
    tokenizer: Tokenizer
    weights: Checked

    @property
    def dimension(self) -> int:
        return self.bert.shape.hidden

    def embedded(self, texts: Sequence[str]) -> list[Embedded]:
        """For one thread at a time and lane: it takes as long as it takes."""
        tokens = [self._tokens(text) for text in texts]
        numbers = [_cut(one) for one in tokens]
        found: dict[int, array[float]] = {}
        for turn in _passes([len(one) for one in numbers]):
            vectors = self.bert.vectors([numbers[at] for at in turn])
            found |= {at: array("f", row.tobytes()) for at, row in zip(turn, vectors, strict=True)}
        return [
            Embedded(found[at], len(numbers[at]), len(one) > TOKENS_MAX)
            for at, one in enumerate(tokens)
        ]

    def _tokens(self, text: str) -> list[int]:
        """All that count, and some beyond where there are more: a long text costs no more for what
        is cut off.
        """
        tokens: list[int] = self.tokenizer.encode(text[:_GLANCE]).ids
        if len(text) > _GLANCE and len(tokens) <= TOKENS_MAX + _WORD_TOKENS_MAX:
            tokens = self.tokenizer.encode(text).ids
        return tokens


def _cut(tokens: list[int]) -> list[int]:
    """The last one says that the text ends."""
    return [*tokens[: TOKENS_MAX - 1], tokens[-1]] if len(tokens) > TOKENS_MAX else tokens


def load(folder: Path, sha256: str, known: Checked | None) -> Loaded:
    """Raises Refused for files that are not the model's, or not one that we can compute."""
    path = folder / _WEIGHTS
    try:
        weights = _checked(path, sha256, known)
        shape = _shape(folder / _CONFIG)
        arrays = mapped(path)
        tokenizer = _tokenizer(folder / _TOKENIZER)
    except OSError as error:
        message = "a file of the embedding model cannot be read"
        raise Refused(message, file=error.filename, why=error.strerror) from error
    # For the whole process: its other threads are others' agents.
    threadpool_limits(1, user_api="blas")
    try:
        bert = Bert(arrays, shape)
        if tokenizer.get_vocab_size() > bert.words:
            raise Refused("the tokenizer knows words that the weights do not", file=path)
        return Loaded(bert, tokenizer, weights)
    except (LookupError, ValueError) as error:
        raise Refused("the weights are not those of the model's config.json", file=path) from error


def _checked(path: Path, sha256: str, known: Checked | None) -> Checked:
    found = path.stat()
    identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
    if known is not None and known.identity == identity:
        return known
    checked = Checked(digest(path), identity)
    if sha256 and checked.sha256 != sha256:
        message = "the weights are not those of the model: delete the folder and fetch it again"
        raise Refused(message, file=path, wanted=sha256, found=checked.sha256)
    return checked


def _shape(path: Path) -> Shape:
    try:
        said: dict[str, Any] = json.loads(path.read_text("utf-8"))
        wrong = [f"{name} {said.get(name)}" for name, value in _KIND.items() if said[name] != value]
        if said.get("position_embedding_type", "absolute") != "absolute":
            wrong.append("positions that are not absolute")
        if said["max_position_embeddings"] < TOKENS_MAX:
            wrong.append(f"fewer than {TOKENS_MAX} positions")
        shape = Shape(
            hidden=said["hidden_size"],
            inner=said["intermediate_size"],
            heads=said["num_attention_heads"],
            layers=said["num_hidden_layers"],
            positions=said["max_position_embeddings"],
            epsilon=said["layer_norm_eps"],
        )
    except (ValueError, LookupError, TypeError) as error:
        raise Refused("the model's config.json is none of a BERT", file=path) from error
    if wrong:
        message = "the model is of a kind that is not computed here"
        raise Refused(message, file=path, lacking=", ".join(wrong))
    return shape


def _tokenizer(path: Path) -> Tokenizer:
    text = path.read_text("utf-8")
    try:
        # What the package itself raises for a file that is none has no name.
        json.loads(text)["model"]["vocab"]
    except (ValueError, LookupError, TypeError) as error:
        raise Refused("the model's tokenizer.json is none", file=path) from error
    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _passes(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Which texts are computed together: those of like length, as many as a pass has room for."""
    turn: list[int] = []
    tokens = 0
    for at in sorted(range(len(lengths)), key=lengths.__getitem__):
        if turn and tokens + lengths[at] > _PASS_TOKENS:
            yield turn
            turn, tokens = [], 0
        turn.append(at)
        tokens += lengths[at]
    if turn:
        yield turn
