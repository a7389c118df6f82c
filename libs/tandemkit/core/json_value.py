"""JSON that somebody else wrote: read so that whatever is wrong with it fails in one way."""

from __future__ import annotations

import json
from typing import Any, Final

DEPTH_MAX: Final = 100


def parsed(text: str) -> Any:
    """Raises ValueError for what is no JSON, is nested too deep, or holds half a character, which
    JSON can say and no message can hold.
    """
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError(_DEEP) from error
    if text.count("[") + text.count("{") > DEPTH_MAX and is_deeper(found, DEPTH_MAX):
        raise ValueError(_DEEP)
    if "\\u" in text:
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError("it holds half a character, a lone surrogate") from error
    return found


def is_deeper(value: object, levels: int) -> bool:
    """Level by level: what is too deep to go into must not be gone into."""
    level = [value]
    for _ in range(levels + 1):
        level = [
            below
            for one in level
            if isinstance(one, dict | list)
            for below in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


_DEEP: Final = f"it is nested deeper than {DEPTH_MAX} levels"
