"""Trains the classifier of services/language, says how good it is, and writes its weights down:
`python -m tools.routes`. With `--check` it writes nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tandemkit.ml.classifying.training import Trained, trained
from tools.routes.examples import handwritten, split
from tools.routes.judging import judged

WEIGHTS = Path("services/language/request_coordinator/weights.py")
_COLUMNS = 90
_HEAD = '''"""The classifier of routes: written by `python -m tools.routes`, never by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

'''


def train() -> Trained:
    examples = split().training
    return trained([one.text for one in examples], [one.route for one in examples])


def written(weights: Trained) -> str:
    """As the module has it."""
    biases = ", ".join(f'"{name}": {bias}' for name, bias in weights.biases.items())
    rows = [weights.packed[at : at + _COLUMNS] for at in range(0, len(weights.packed), _COLUMNS)]
    packed = "\n".join(f'    r"{row}"' for row in rows)
    return (
        f"{_HEAD}SCALE: Final = {weights.scale}\n"
        f"BIASES: Final[Mapping[str, float]] = {{{biases}}}\n"
        f"PACKED: Final = (\n{packed}\n)\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools.routes", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    asked = parser.parse_args()
    weights = train()
    classifier = weights.classifier()
    for title, examples in (("held out", split().held_out), ("by hand", handwritten())):
        print(judged(classifier, examples).table(title))
    if not asked.check:
        WEIGHTS.write_text(written(weights), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
