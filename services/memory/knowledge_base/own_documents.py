"""The platform's own documents, so that whoever is new can ask how to use it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from services.memory.knowledge_base.ledger import Item, Order
from services.memory.knowledge_base.names import OWN_FOLDER
from services.memory.knowledge_base.reading import FORM
from services.memory.knowledge_base.sections import WEIGHT
from services.memory.knowledge_base.sources import document_id
from tandem.memory.v1 import document_pb2 as documents
from tandemkit.storage.vectors.wire import label_messages

_TOP: Final = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
_BELOW: Final = "docs"
# Why something was decided, and what it was once, answers few questions of whoever uses it.
_WEIGHTS: Final = {
    "README.md": 1.1,
    "CONTRIBUTING.md": 1.1,
    "docs/questions.md": 1.2,
    "docs/adr/": 0.75,
    "docs/benchmarks.md": 0.75,
    "CHANGELOG.md": 0.75,
}


def order(root: Path | None) -> Order | None:
    """What to take in: of the checkout at `root`, or what this program was packaged with; None
    where there is neither. Its id says what the documents say, so that the same ones are one order.
    """
    place = root or _packaged()
    found = dict(sorted(_files(place))) if place else {}
    if not found:
        return None
    items = tuple(
        Item(
            document_id("o", path.encode()),
            path,
            path,
            "text/markdown",
            (),
            content,
            _labels(path),
        )
        for path, content in found.items()
    )
    told = hashlib.sha256(FORM.encode())
    for one in items:
        told.update(hashlib.sha256(one.path.encode()).digest())
        told.update(hashlib.sha256(one.content).digest() + one.labels)
    return Order(0, f"own-{told.hexdigest()[:24]}", OWN_FOLDER, items=items, is_listed=True)


def _files(root: Path) -> Iterator[tuple[str, bytes]]:
    for name in _TOP:
        if (root / name).is_file():
            yield name, (root / name).read_bytes()
    for path in (root / _BELOW).rglob("*.md"):
        if content := path.read_bytes():
            yield path.relative_to(root).as_posix(), content


def _packaged() -> Path | None:
    """Where a packaged agent has them."""
    found = find_spec(_BELOW)
    places = list(found.submodule_search_locations or ()) if found else []
    return Path(places[0]).parent if places else None


def _labels(path: str) -> bytes:
    weight = next((weight for start, weight in _WEIGHTS.items() if path.startswith(start)), 1.0)
    said = documents.Document(labels=label_messages({WEIGHT: weight}))
    return said.SerializeToString(deterministic=True)
