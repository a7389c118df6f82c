"""What operators see of backends at /metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter

from services.models.model.place import Place
from tandemkit.telemetry.exposition import COUNTER, GAUGE, Family, Sample

_COUNTED = {
    "attempts": "Requests that were sent to a backend of models.",
    "failures": "Requests to a backend of models that it did not answer.",
    "prompt_tokens": "Tokens that a backend of models was asked with.",
    "completion_tokens": "Tokens that a backend of models answered with.",
}


def families(places: Iterable[Place]) -> Iterator[Family]:
    """Of each backend since the agent started."""
    known = list(places)
    for name, meaning in _COUNTED.items():
        yield _family(f"tandem_model_{name}", COUNTER, meaning, known, name)
    meaning = "Requests that a backend of models works on."
    yield _family("tandem_model_in_progress", GAUGE, meaning, known, "in_progress")


def _family(name: str, kind: str, meaning: str, places: list[Place], figure: str) -> Family:
    read = attrgetter(figure)
    samples = [Sample(read(one.figures), {"backend": one.name}) for one in places]
    return Family(name, kind, meaning, samples)
