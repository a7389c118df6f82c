"""The forward pass of a BERT whose sentence vector is the mean of its tokens', in numpy alone.

Texts lie beside each other, a column for each token and without padding, so that every product but
attention's is one for all. docs/design/embedding.md has the measurements behind each choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

import numpy as np

Floats: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"

# The normal distribution's Phi(x) is (1 + tanh(q(x))) / 2 with this odd polynomial q, the lowest
# power first: x Phi(x) is wrong by 6.6e-8 at most, for any x.
_GELU = (
    0.7978842683958011,
    0.03633414915856938,
    -3.3026732544981867e-05,
    -5.5273377289259185e-05,
    3.974069458881861e-06,
    -1.3378311803404647e-07,
    1.8139254443183054e-09,
)
# Numbers that stay in a core's cache while they pass through a function.
_BLOCK = 32 * 1024
# Columns of one product with the widest matrix.
_WIDE = 256
# OpenBLAS has kernels for products of that many multiplications which do not rearrange the matrix
# first: worth half of the time where there are few columns.
_SMALL = 1_000_000
_PARTS_MAX = 24
# Beyond, exp of it would leave the range of a float.
_SCORE_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Shape:
    """Of one BERT, as its config.json says."""

    hidden: int
    inner: int
    heads: int
    layers: int
    positions: int
    epsilon: float


@dataclass(frozen=True, slots=True)
class _Norm:
    """`weight` and `bias` are columns."""

    weight: Floats
    bias: Floats
    epsilon: float

    def into(self, columns: Floats) -> None:
        """Normalizes each column where it is."""
        columns -= columns.mean(axis=0)
        spread = np.einsum("ij,ij->j", columns, columns)
        spread /= len(columns)
        spread += self.epsilon
        columns /= np.sqrt(spread, out=spread)
        columns *= self.weight
        columns += self.bias


@dataclass(frozen=True, slots=True)
class _Layer:
    """Matrices are (outputs, inputs), as they lie in the file. `asked` makes queries, keys and
    values in one product, the queries scaled.
    """

    asked: Floats
    asked_bias: Floats
    told: Floats
    told_bias: Floats
    told_norm: _Norm
    inner: Floats
    inner_bias: Floats
    outer: Floats
    outer_bias: Floats
    outer_norm: _Norm


class Bert:
    """Weights that all threads share: nothing of a call is kept in it."""

    def __init__(self, weights: Mapping[str, Floats], shape: Shape) -> None:
        """Raises KeyError for weights that are not there."""
        self.shape = shape
        self._words = weights["embeddings.word_embeddings.weight"]
        # Every text is of the first type.
        types = weights["embeddings.token_type_embeddings.weight"]
        self._positions = weights["embeddings.position_embeddings.weight"] + types[0]
        self._norm = _norm(weights, "embeddings.LayerNorm", shape)
        self._layers = tuple(_layer(weights, number, shape) for number in range(shape.layers))

    @property
    def words(self) -> int:
        """Tokens that it knows, by numbers from 0 on."""
        return len(self._words)

    def vectors(self, texts: Sequence[Sequence[int]]) -> Floats:
        """A row of length 1 for each text, given as its tokens' numbers: 1 to `positions` of them.
        Texts of one length are best given together.
        """
        lengths = [len(text) for text in texts]
        columns = self._embedded(texts, lengths)
        for layer in self._layers:
            self._attend(layer, columns, lengths)
            self._think(layer, columns)
        return _means(columns, lengths)

    def _embedded(self, texts: Sequence[Sequence[int]], lengths: Sequence[int]) -> Floats:
        rows: Floats = self._words[np.concatenate([np.asarray(text) for text in texts])]
        rows += self._positions[np.concatenate([np.arange(length) for length in lengths])]
        columns = np.ascontiguousarray(rows.T)
        self._norm.into(columns)
        return columns

    def _attend(self, layer: _Layer, columns: Floats, lengths: Sequence[int]) -> None:
        asked = _product(layer.asked, columns)
        asked += layer.asked_bias
        heads = np.empty_like(columns)
        by_head = asked.reshape(3, self.shape.heads, -1, columns.shape[1])
        found = heads.reshape(self.shape.heads, -1, columns.shape[1])
        for start, count, length in _runs(lengths):
            part = slice(start, start + count * length)
            _look_around(
                np.moveaxis(by_head[..., part].reshape(*by_head.shape[:3], count, length), 3, 0),
                np.moveaxis(found[..., part].reshape(*found.shape[:2], count, length), 2, 0),
            )
        columns += _product(layer.told, heads)
        columns += layer.told_bias
        layer.told_norm.into(columns)

    def _think(self, layer: _Layer, columns: Floats) -> None:
        for start in range(0, columns.shape[1], _WIDE):
            part = columns[:, start : start + _WIDE]
            wide = _product(layer.inner, part)
            step = max(1, _BLOCK // wide.shape[1])
            for first in range(0, len(wide), step):
                block = wide[first : first + step]
                block += layer.inner_bias[first : first + step]
                _twice_gelu(block)
            found = _product(layer.outer, wide)
            found *= np.float32(0.5)
            part += found
        columns += layer.outer_bias
        layer.outer_norm.into(columns)


def _product(matrix: Floats, columns: Floats) -> Floats:
    outputs, inputs = matrix.shape
    count = columns.shape[1]
    least = -(-matrix.size * count // _SMALL)
    parts = next((one for one in range(least, _PARTS_MAX + 1) if outputs % one == 0), 1)
    if parts == 1:
        return matrix @ columns
    return (matrix.reshape(parts, outputs // parts, inputs) @ columns).reshape(outputs, count)


def _look_around(asked: Floats, heads: Floats) -> None:
    """Attention among the tokens of each text; all have one length."""
    queries, keys, values = asked[:, 0], asked[:, 1], asked[:, 2]
    scores = queries.swapaxes(2, 3) @ keys
    if not -_SCORE_MAX < scores.min() <= scores.max() < _SCORE_MAX:
        scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    np.matmul(values, scores.swapaxes(2, 3), out=heads)


def _twice_gelu(block: Floats) -> None:
    """2 x Phi(x) where it is: the next product's result is a quarter as wide, and halved for it."""
    squares = block * block
    found = squares * np.float32(_GELU[-1])
    for factor in _GELU[-2:0:-1]:
        found += np.float32(factor)
        found *= squares
    found += np.float32(_GELU[0])
    found *= block
    np.tanh(found, out=found)
    found += np.float32(1)
    block *= found


def _means(columns: Floats, lengths: Sequence[int]) -> Floats:
    starts = np.cumsum([0, *lengths[:-1]])
    # How long they are does not matter, for each is made 1.
    found: Floats = np.ascontiguousarray(np.add.reduceat(columns, starts, axis=1).T)
    found /= np.sqrt(np.einsum("ij,ij->i", found, found))[:, None]
    return found


def _runs(lengths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Where texts of one length begin that follow each other, how many they are, and how long."""
    start = 0
    for length, same in groupby(lengths):
        count = sum(1 for _ in same)
        yield start, count, length
        start += count * length


def _norm(weights: Mapping[str, Floats], name: str, shape: Shape) -> _Norm:
    return _Norm(
        _column(weights, f"{name}.weight"), _column(weights, f"{name}.bias"), shape.epsilon
    )


def _column(weights: Mapping[str, Floats], name: str) -> Floats:
    return weights[name][:, None]


def _layer(weights: Mapping[str, Floats], number: int, shape: Shape) -> _Layer:
    at = f"encoder.layer.{number}"
    own = [f"{at}.attention.self.{one}" for one in ("query", "key", "value")]
    asked = np.concatenate([weights[f"{one}.weight"] for one in own])
    asked_bias = np.concatenate([_column(weights, f"{one}.bias") for one in own])
    scale = np.float32((shape.hidden // shape.heads) ** -0.5)
    asked[: shape.hidden] *= scale
    asked_bias[: shape.hidden] *= scale
    return _Layer(
        asked,
        asked_bias,
        weights[f"{at}.attention.output.dense.weight"],
        _column(weights, f"{at}.attention.output.dense.bias"),
        _norm(weights, f"{at}.attention.output.LayerNorm", shape),
        weights[f"{at}.intermediate.dense.weight"],
        _column(weights, f"{at}.intermediate.dense.bias"),
        weights[f"{at}.output.dense.weight"],
        _column(weights, f"{at}.output.dense.bias"),
        _norm(weights, f"{at}.output.LayerNorm", shape),
    )
