"""How well the knowledge base finds what was asked for: by words alone, by vectors alone, and by
both fused, on two labelled sets, through its own search and with the default embedding model.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tandemkit.core.environment import Environment
from tandemkit.ml.embedding.places import model_folder
from tests.bench.quality.jargon import Unavailable, jargon
from tests.bench.quality.labels import Half, LabelledSet
from tests.bench.quality.measures import Interval, interval
from tests.bench.quality.own_documents import own_documents
from tests.bench.quality.remembered import remembered
from tests.bench.quality.runs import MEASURES, WAYS, Asked, asked

Row = dict[str, str | float | int]


async def measure(sets: Sequence[LabelledSet], half: Half | None, cache: Path) -> list[Row]:
    """A row for each set, measure and way; those of differences compare the same questions."""
    rows: list[Row] = []
    async with remembered(model_folder(cache), cache / "bench") as embedder:
        for labelled in sets:
            with tempfile.TemporaryDirectory() as folder:
                found = await asked(labelled, half, embedder, Path(folder))
            for name in MEASURES:
                rows += _rows(labelled, name, found)
    return rows


def _rows(labelled: LabelledSet, name: str, found: Sequence[Asked]) -> list[Row]:
    scores = {way: [one.scores[way][name] for one in found] for way in WAYS}
    rows = [_row(labelled, name, way, interval(each), len(found)) for way, each in scores.items()]
    for way in ("words", "vectors"):
        pairs = zip(scores["hybrid"], scores[way], strict=True)
        apart = interval([hybrid - alone for hybrid, alone in pairs])
        rows.append(_row(labelled, name, f"hybrid - {way}", apart, len(found)))
    return rows


def _row(labelled: LabelledSet, name: str, way: str, said: Interval, questions: int) -> Row:
    return {
        "bench": "knowledge",
        "set": labelled.name,
        "documents": len(labelled.documents),
        "questions": questions,
        "measure": name,
        "way": way,
        "mean": round(said.mean, 4),
        "low": round(said.low, 4),
        "high": round(said.high, 4),
    }


def _sets(root: Path, cache: Path) -> list[LabelledSet]:
    found = [own_documents(root)]
    try:
        found.append(jargon(cache))
    except Unavailable as reason:
        sys.stderr.write(f"without the Jargon File: {reason}\n")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--half", choices=[*Half, "both"], default=Half.HELD_OUT, help="(default held-out)"
    )
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    said = parser.parse_args()
    cache = Environment.read().cache
    (cache / "bench").mkdir(parents=True, exist_ok=True)
    half = None if said.half == "both" else Half(said.half)
    for row in asyncio.run(measure(_sets(Path(__file__).parents[2], cache), half, cache)):
        if said.json:
            line = json.dumps(row)
        else:
            line = (
                f"{row['set']:<7} {row['questions']:>4} questions  {row['measure']:<10} "
                f"{row['way']:<17} {row['mean']:.3f}  ({row['low']:.3f} to {row['high']:.3f})"
            )
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
