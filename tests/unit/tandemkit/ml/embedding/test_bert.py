"""The forward pass against a plain one: padded, masked, in double precision, by the definition."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tandemkit.ml.embedding.bert import Bert, Floats, Shape
from tandemkit.ml.embedding.weights import mapped
from tandemkit.reach.failure import Refused

SHAPE = Shape(hidden=48, inner=96, heads=4, layers=3, positions=64, epsilon=1e-12)
WORDS = 200
TEXTS = [[5], [7, 8, 9], [1, 2, 3, 4, 5], [9, 9, 9], list(range(60)), [7, 8, 9]]


def planted(spread: float = 0.4) -> dict[str, Floats]:
    """Weights by chance, always the same ones. `spread` decides how sharp its attention is."""
    draw = np.random.default_rng(7)

    def some(*shape: int) -> Floats:
        return draw.normal(0, spread, shape).astype(np.float32)

    wide, inner = SHAPE.hidden, SHAPE.inner
    found = {
        "embeddings.word_embeddings.weight": some(WORDS, wide),
        "embeddings.position_embeddings.weight": some(SHAPE.positions, wide),
        "embeddings.token_type_embeddings.weight": some(2, wide),
    }
    norms = ["embeddings.LayerNorm"]
    for number in range(SHAPE.layers):
        at = f"encoder.layer.{number}"
        lines = {f"{at}.attention.self.{one}": (wide, wide) for one in ("query", "key", "value")}
        lines[f"{at}.attention.output.dense"] = (wide, wide)
        lines[f"{at}.intermediate.dense"] = (inner, wide)
        lines[f"{at}.output.dense"] = (wide, inner)
        for name, shape in lines.items():
            found |= {f"{name}.weight": some(*shape), f"{name}.bias": some(shape[0])}
        norms += [f"{at}.attention.output.LayerNorm", f"{at}.output.LayerNorm"]
    for name in norms:
        found |= {f"{name}.weight": 1 + some(wide), f"{name}.bias": some(wide)}
    return found


class Plain:
    """As the paper has it, one text at a time."""

    def __init__(self, weights: dict[str, Floats]) -> None:
        self._weights = {name: array.astype(np.float64) for name, array in weights.items()}

    def vector(self, text: list[int]) -> Any:
        at = "embeddings"
        rows = (
            self._weights[f"{at}.word_embeddings.weight"][text]
            + self._weights[f"{at}.position_embeddings.weight"][: len(text)]
            + self._weights[f"{at}.token_type_embeddings.weight"][0]
        )
        rows = self._normal(rows, f"{at}.LayerNorm")
        for number in range(SHAPE.layers):
            rows = self._layer(rows, f"encoder.layer.{number}")
        mean = rows.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def _layer(self, rows: Any, at: str) -> Any:
        each = SHAPE.hidden // SHAPE.heads
        asked = [
            self._line(rows, f"{at}.attention.self.{one}") for one in ("query", "key", "value")
        ]
        heads = []
        for head in range(SHAPE.heads):
            query, key, value = (one[:, head * each : (head + 1) * each] for one in asked)
            scores = query @ key.T / math.sqrt(each)
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            heads.append(scores / scores.sum(axis=1, keepdims=True) @ value)
        told = self._line(np.concatenate(heads, axis=1), f"{at}.attention.output.dense")
        rows = self._normal(rows + told, f"{at}.attention.output.LayerNorm")
        inner = self._line(rows, f"{at}.intermediate.dense")
        phi = np.vectorize(lambda x: (1 + math.erf(x / math.sqrt(2))) / 2)(inner)
        return self._normal(
            rows + self._line(inner * phi, f"{at}.output.dense"), f"{at}.output.LayerNorm"
        )

    def _line(self, rows: Any, name: str) -> Any:
        return rows @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _normal(self, rows: Any, name: str) -> Any:
        apart = rows - rows.mean(axis=1, keepdims=True)
        spread = np.sqrt((apart**2).mean(axis=1, keepdims=True) + SHAPE.epsilon)
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return apart / spread * weight + bias


@pytest.mark.parametrize(("spread", "within"), [(0.05, 1e-6), (0.4, 2e-5), (6.0, 1e-2)])
def test_the_vectors_are_those_of_the_definition(spread: float, within: float) -> None:
    """As near as floats of 32 bits come, also where exp of a score would leave their range."""
    weights = planted(spread)
    plain = Plain(weights)
    found = Bert(weights, SHAPE).vectors(TEXTS)
    for text, vector in zip(TEXTS, found, strict=True):
        assert vector == pytest.approx(plain.vector(text), abs=within)


def test_texts_of_one_length_and_of_many_are_computed_alike() -> None:
    """More columns than one product takes at once, and few enough for small kernels."""
    bert = Bert(planted(), SHAPE)
    many = [[number % WORDS, 3, number % 7] for number in range(120)]
    together = bert.vectors([*many, [4] * 50])
    for at in (0, 60, 119):
        assert together[at] == pytest.approx(bert.vectors([many[at]])[0], abs=1e-5)


def test_weights_are_read_where_they_lie(tmp_path: Path) -> None:
    """What is written in the format is found by name and shape; what is not is refused."""
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    number = {"dtype": "I64", "shape": [1], "data_offsets": [24, 32]}
    header = {
        "__metadata__": {"format": "pt"},
        "some": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "positions": number,
    }
    text = json.dumps(header).encode().ljust(200)
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + array.tobytes() + bytes(8))
    found = mapped(path)
    assert list(found) == ["some"]
    assert found["some"].tolist() == array.tolist()
    for wrong in (b"nothing of that", b"\xff" * 64, (2).to_bytes(8, "little") + b"[]"):
        path.write_bytes(wrong)
        with pytest.raises(Refused):
            mapped(path)
