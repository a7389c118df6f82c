"""A linear classifier of short texts, in a few KB and without numpy: a text is some tens of
buckets, and all else of a row of weights is not looked at.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tandemkit.ml.classifying.features import BUCKETS, features


@dataclass(frozen=True, slots=True)
class Linear:
    """`rows` has a row of signed bytes for each label, times `scale`."""

    labels: Sequence[str]
    biases: Sequence[float]
    rows: Sequence[memoryview]
    scale: float

    @classmethod
    def read(cls, packed: str, biases: Mapping[str, float], scale: float) -> Linear:
        """What `pack` made, in the order of the labels in `biases`. Raises ValueError."""
        raw = zlib.decompress(base64.b85decode(packed))
        if len(raw) != BUCKETS * len(biases):
            raise ValueError("the weights are not those of these labels")
        whole = memoryview(raw).cast("b")
        rows = [whole[at : at + BUCKETS] for at in range(0, len(raw), BUCKETS)]
        return cls(tuple(biases), tuple(biases.values()), rows, scale)

    def probabilities(self, text: str) -> dict[str, float]:
        """Of each label; together 1."""
        found = features(text)
        scores = [
            bias + self.scale * sum(row[bucket] * weight for bucket, weight in found.items())
            for bias, row in zip(self.biases, self.rows, strict=True)
        ]
        greatest = max(scores)
        shares = [math.exp(one - greatest) for one in scores]
        whole = sum(shares)
        return {label: share / whole for label, share in zip(self.labels, shares, strict=True)}


def pack(raw: bytes) -> str:
    """Rows of signed bytes, one behind the other, as text."""
    return base64.b85encode(zlib.compress(raw, 9)).decode("ascii")
