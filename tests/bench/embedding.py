"""What embedding costs on this CPU, beside a forward pass written without care: padded, with the
weights as arrays of their own; and what the model costs in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from tandemkit.ml.embedding.loaded import load
from tandemkit.ml.embedding.local import LocalModel, local_embedder
from tandemkit.ml.embedding.places import FILES, MODEL
from tandemkit.ml.embedding.weights import mapped
from tandemkit.testing.parts import demand

_HEADS, _LAYERS = 12, 6
_QUESTION = "How do I add agent {} to the fleet?"
_PASSAGE = (
    "The machine {} starts the hosts that its plan names, in layers, and says how each fares. "
)


class Plain:
    """The same model by the book."""

    def __init__(self, path: Path) -> None:
        self._weights = {name: array.copy() for name, array in mapped(path).items()}

    def vectors(self, texts: Sequence[Sequence[int]]) -> Any:
        longest = max(map(len, texts))
        numbers, mask = np.zeros((2, len(texts), longest), np.int64)
        for row, text in enumerate(texts):
            numbers[row, : len(text)], mask[row, : len(text)] = text, 1
        found = self._weights["embeddings.word_embeddings.weight"][numbers]
        found = found + self._weights["embeddings.position_embeddings.weight"][:longest]
        found = found + self._weights["embeddings.token_type_embeddings.weight"][0]
        found = self._normal(found, "embeddings.LayerNorm")
        for layer in range(_LAYERS):
            found = self._layer(found, mask, f"encoder.layer.{layer}")
        mean = (found * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def _layer(self, found: Any, mask: Any, at: str) -> Any:
        count, length, width = found.shape
        query, key, value = (
            self._line(found, f"{at}.attention.self.{one}")
            .reshape(count, length, _HEADS, -1)
            .transpose(0, 2, 1, 3)
            for one in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(width / _HEADS))
        scores = scores + (1 - mask)[:, None, None] * np.float32(-1e9)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        heads = scores / scores.sum(axis=-1, keepdims=True) @ value
        heads = heads.transpose(0, 2, 1, 3).reshape(count, length, width).astype(np.float32)
        told = self._line(heads, f"{at}.attention.output.dense")
        found = self._normal(found + told, f"{at}.attention.output.LayerNorm")
        inner = _gelu(self._line(found, f"{at}.intermediate.dense"))
        return self._normal(
            found + self._line(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm"
        )

    def _line(self, found: Any, name: str) -> Any:
        return found @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _normal(self, found: Any, name: str) -> Any:
        mean, spread = found.mean(-1, keepdims=True), found.var(-1, keepdims=True)
        apart = (found - mean) / np.sqrt(spread + np.float32(1e-12))
        return apart * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def _gelu(found: Any) -> Any:
    """Its erf by the usual series of five terms."""
    size = np.abs(found) / np.float32(np.sqrt(2))
    part = 1 / (1 + np.float32(0.3275911) * size)
    series = np.float32(1.061405429) * part
    for term in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(term)) * part
    erf = np.sign(found) * (1 - series * np.exp(-size * size))
    return found * (1 + erf) * np.float32(0.5)


def cpu_ms(work: Callable[[], object]) -> float:
    started_s = time.process_time()
    work()
    return (time.process_time() - started_s) * 1e3


def speed(folder: Path, rounds: int) -> dict[str, float]:
    """By turns, so that both have the same machine."""
    model, plain = load(folder, "", None), Plain(folder / FILES[0])
    threadpool_limits(1, user_api="blas")
    worlds = {
        "one_short": [_QUESTION.format(1)],
        "32_short": [_QUESTION.format("many " * (at % 8)) for at in range(32)],
        "32_long": [(_PASSAGE.format(at) * 14)[: 880 + 10 * (at % 8)] for at in range(32)],
    }
    found: dict[str, float] = {}
    for world, texts in worlds.items():
        tokens = [model.tokenizer.encode(text).ids for text in texts]
        ordered = sorted(tokens, key=len)
        apart = np.abs(model.bert.vectors(ordered) - plain.vectors(ordered)).max()
        ours, theirs = [], []
        for _ in range(rounds * (10 if len(texts) == 1 else 1)):
            ours.append(cpu_ms(partial(model.embedded, texts)))
            theirs.append(cpu_ms(partial(plain.vectors, tokens)))
        found |= {
            f"{world}_tokens": sum(map(len, tokens)),
            f"{world}_ms": round(statistics.median(ours), 1),
            f"{world}_plain_ms": round(statistics.median(theirs), 1),
            f"{world}_ratio": round(statistics.median(map(_ratio, theirs, ours)), 2),
            f"{world}_apart": float(f"{apart:.1g}"),
        }
    return found


def _ratio(one: float, other: float) -> float:
    return one / other


def memory_mib() -> tuple[float, float]:
    """Resident, and with what is shared counted in shares."""
    lines = Path("/proc/self/smaps_rollup").read_text("ascii").splitlines()
    fields = {line.split(":")[0]: line.split()[1] for line in lines[1:]}
    return int(fields["Rss"]) / 1024, int(fields["Pss"]) / 1024


async def memory(folder: Path) -> dict[str, float]:
    found: dict[str, float] = {}

    def note(when: str) -> None:
        resident, share = memory_mib()
        found[f"{when}_rss_mib"], found[f"{when}_pss_mib"] = round(resident), round(share)

    async with local_embedder(LocalModel(MODEL, folder)) as embedder:
        note("before")
        await embedder.embed([_PASSAGE * 14] * 32)
        note("loaded")
        await embedder.unload()
        note("unloaded")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="(default 5)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    said = parser.parse_args()
    folder = demand("minilm")[FILES[0]].parent
    found: dict[str, object] = {**asyncio.run(memory(folder)), **speed(folder, said.rounds)}
    found["kernels"] = next(one["architecture"] for one in threadpool_info())
    if said.json:
        line = json.dumps({"bench": "embedding", **found})
    else:
        line = "\n".join(f"embedding: {name} {value}" for name, value in found.items())
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
