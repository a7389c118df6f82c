"""Where a request goes: as its caller says, by a rule, by the classifier, or where most belong."""

from __future__ import annotations

from typing import Final

from services.language.request_coordinator.reckoning import reckoned
from services.language.request_coordinator.rules import ruled
from tandem.language.v1 import answer_pb2 as nouns

_DEFAULT: Final = nouns.ROUTE_KNOWLEDGE


def routed(text: str, wanted: nouns.Route.ValueType) -> nouns.Routing:
    """Asks nobody."""
    found = ruled(text) or _worked_out(text)
    if wanted:
        rule = found[1] if found is not None and found[0] == wanted else ""
        return nouns.Routing(route=wanted, basis=nouns.ROUTE_BASIS_ASKED, rule=rule)
    if found is not None:
        return nouns.Routing(route=found[0], basis=nouns.ROUTE_BASIS_RULE, rule=found[1])
    return nouns.Routing(route=_DEFAULT, basis=nouns.ROUTE_BASIS_DEFAULT)


def _worked_out(text: str) -> tuple[nouns.Route.ValueType, str] | None:
    work = reckoned(text)
    return None if work is None else (nouns.ROUTE_TOOL, type(work).__name__.lower())
