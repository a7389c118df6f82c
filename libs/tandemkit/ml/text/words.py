"""Words of a text as two texts are compared by them, in whatever language."""

from __future__ import annotations

import re

# An apostrophe, of either kind, does not end one.
_WORD = re.compile(r"\w+(?:['\u2019]\w+)?")


def words(text: str) -> list[str]:
    """In their order, without case."""
    return _WORD.findall(text.casefold())
