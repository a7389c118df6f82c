"""Weights for a linear classifier, by multinomial logistic regression: the same from the same
examples, in a second or two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tandemkit.ml.classifying.features import BUCKETS, features
from tandemkit.ml.classifying.linear import Linear, pack

# Full steps down the slope: so few examples need no order, and so no seed.
_STEPS: Final = 150
_RATE: Final = 50.0
_DECAY: Final = 2e-4
_MOMENTUM: Final = 0.9
_BYTE_MAX: Final = 127
Matrix: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Trained:
    """As it is written down."""

    packed: str
    biases: dict[str, float]
    scale: float

    def classifier(self) -> Linear:
        return Linear.read(self.packed, self.biases, self.scale)


def trained(texts: Sequence[str], labels: Sequence[str]) -> Trained:
    """Of as many texts as labels. Labels count alike, however many texts each has."""
    names = sorted(set(labels))
    inputs, wanted = _inputs(texts), _wanted(labels, names)
    shares = 1.0 / wanted.sum(axis=0)
    each = (wanted @ shares)[:, None] / len(names)
    weights, biases = np.zeros((BUCKETS, len(names)), np.float32), np.zeros(len(names), np.float32)
    pace, bias_pace = np.zeros_like(weights), np.zeros_like(biases)
    for _ in range(_STEPS):
        wrong = (_softmax(inputs @ weights + biases) - wanted) * each
        pace = _MOMENTUM * pace - _RATE * (1 - _MOMENTUM) * (inputs.T @ wrong + _DECAY * weights)
        bias_pace = _MOMENTUM * bias_pace - (1 - _MOMENTUM) * wrong.sum(axis=0)
        weights += pace
        biases += bias_pace
    scale = float(np.abs(weights).max()) / _BYTE_MAX
    rows = np.rint(weights.T / scale).astype(np.int8)
    rounded = {name: round(float(one), 4) for name, one in zip(names, biases, strict=True)}
    return Trained(pack(rows.tobytes()), rounded, round(scale, 6))


def _inputs(texts: Sequence[str]) -> Matrix:
    matrix = np.zeros((len(texts), BUCKETS), np.float32)
    for row, text in enumerate(texts):
        for bucket, weight in features(text).items():
            matrix[row, bucket] = weight
    return matrix


def _wanted(labels: Sequence[str], names: Sequence[str]) -> Matrix:
    return np.array([[float(label == name) for name in names] for label in labels], np.float32)


def _softmax(scores: Matrix) -> Matrix:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Matrix = raised / raised.sum(axis=1, keepdims=True)
    return found
