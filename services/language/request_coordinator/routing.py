"""Where a request goes: as its caller says, by a rule, by the classifier, or where most belong."""

from __future__ import annotations

from functools import cache
from typing import Final

from services.language.request_coordinator.reckoning import reckoned
from services.language.request_coordinator.rules import ruled
from services.language.request_coordinator.weights import BIASES, PACKED, SCALE
from tandem.language.v1 import answer_pb2 as nouns
from tandemkit.ml.classifying.linear import Linear

_DEFAULT: Final = nouns.ROUTE_KNOWLEDGE
# Below it the classifier is not believed: docs/design/language.md has what that costs.
_SURE: Final = 0.5


def routed(text: str, wanted: nouns.Route.ValueType) -> nouns.Routing:
    """Asks nobody."""
    found = ruled(text) or _worked_out(text)
    if wanted:
        rule = found[1] if found is not None and found[0] == wanted else ""
        return nouns.Routing(route=wanted, basis=nouns.ROUTE_BASIS_ASKED, rule=rule)
    if found is not None:
        return nouns.Routing(route=found[0], basis=nouns.ROUTE_BASIS_RULE, rule=found[1])
    (likeliest, probability), *_others = scored(text)
    routing = nouns.Routing(route=likeliest, confidence=probability)
    routing.basis = nouns.ROUTE_BASIS_CLASSIFIER
    if probability < _SURE:
        routing.route, routing.basis = _DEFAULT, nouns.ROUTE_BASIS_DEFAULT
    return routing


def scored(text: str) -> list[tuple[nouns.Route.ValueType, float]]:
    """All routes, the likeliest first, by the classifier alone."""
    found = _classifier().probabilities(text)
    named = ((nouns.Route.Value(f"ROUTE_{name}"), one) for name, one in found.items())
    return sorted(named, key=lambda one: -one[1])


@cache
def _classifier() -> Linear:
    return Linear.read(PACKED, BIASES, SCALE)


def _worked_out(text: str) -> tuple[nouns.Route.ValueType, str] | None:
    work = reckoned(text)
    return None if work is None else (nouns.ROUTE_TOOL, type(work).__name__.lower())
