"""Where requests go whose words leave no doubt. Everything else is the classifier's."""

from __future__ import annotations

import re
from typing import Final

from tandem.language.v1 import answer_pb2 as nouns

KEEP: Final = "keep"
_KEEP: Final = re.compile(
    r"(?is)^\s*(?:please[,\s]+)?(?:remember|memori[sz]e|keep in mind|don'?t forget)"
    r"(?:\s+that\b|\s*[:,]|(?=\s+(?:my|our|the|i|we)\b))\s*(?P<what>\S.*)"
)
_RECALL: Final = re.compile(
    r"(?i)^\s*(?:what (?:did|have) (?:i|we) (?:tell|told|say|said|ask)|do you remember\b"
    r"|what do you (?:remember|know) about (?:me|my|us|our)\b|what have you (?:remembered|kept)\b)"
    r"|\b(?:did|have) i (?:ever )?(?:tell|told|say|said|mention(?:ed)?)\b|\bi (?:have )?told you\b"
)
_WELL: Final = r"(?:healthy|up|running|serving|alive|down|unhealthy|not serving|dead|drained)"
_FLEET: Final = re.compile(
    rf"(?i)^\s*(?:which|what|how many)\s+(?:agents?|hosts?|services?)\s+(?:are|is)\s+{_WELL}\b"
    rf"|^\s*(?:is|are)\s+(?:the\s+)?[a-z][\w.]*-[\w-]+\s+{_WELL}\b"
    rf"|^\s*(?:are|is) (?:all|every|any|the|my)\s*(?:the\s+)?(?:agents?|hosts?|fleet)\s+{_WELL}\b"
    r"|^\s*(?:fleet|agents?) status\W*$|^\s*how is the fleet\b"
)
_ROUTES: Final = (
    (KEEP, _KEEP, nouns.ROUTE_MEMORY),
    ("recall", _RECALL, nouns.ROUTE_MEMORY),
    ("fleet", _FLEET, nouns.ROUTE_FLEET),
)


def ruled(text: str) -> tuple[nouns.Route.ValueType, str] | None:
    """The route and the rule that says so; None where none does."""
    for rule, pattern, route in _ROUTES:
        if pattern.search(text):
            return route, rule
    return None


def kept(text: str) -> str:
    """What is to be remembered; all of a text that the rule does not fit."""
    found = _KEEP.search(text)
    return found["what"].rstrip() if found else text.strip()
