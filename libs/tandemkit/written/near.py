"""What somebody may have meant who wrote a name that nothing has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LISTED_MAX = 12


def hint(name: str, known: Iterable[str]) -> str:
    """The end of a sentence: the nearest known name, or all of them where they are few."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean `{close[0]}`?"
    if not names:
        return "; there is none"
    more = f" and {len(names) - _LISTED_MAX} more" if len(names) > _LISTED_MAX else ""
    return f"; there is {', '.join(names[:_LISTED_MAX])}{more}"
