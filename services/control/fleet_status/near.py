"""Names that somebody may have meant. An agent goes by several spellings, so a name is compared as
words: `tandem.memory.v1.SesionMemoryService` as `memory-sesion-memory`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rapidfuzz import fuzz, process

NEAR_MAX = 3
_NAME_CHARS_MAX = 256
# Of 100: above it two of ten letters differ, or a word is missing.
_LIKENESS_MIN = 70.0
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_VERSION = re.compile(r"\.v[0-9]+\.")


class Names:
    """The agents by every spelling. Making one is the dear part; asking it costs about a
    microsecond for each spelling.
    """

    def __init__(self, spelled: Iterable[tuple[str, str]]) -> None:
        """Pairs of a spelling and what it stands for, which may have several."""
        self._said: dict[str, str] = {}
        for spelling, name in spelled:
            self._said.setdefault(_words(spelling), name)

    def near(self, name: str) -> tuple[str, ...]:
        """Up to NEAR_MAX that look most like it, the likest first."""
        found = process.extract(
            _words(name),
            self._said.keys(),
            scorer=fuzz.ratio,
            score_cutoff=_LIKENESS_MIN,
            # Several spellings may stand for one.
            limit=NEAR_MAX * 4,
        )
        likest = dict.fromkeys(self._said[spelling] for spelling, _score, _place in found)
        return tuple(likest)[:NEAR_MAX]


def _words(name: str) -> str:
    """In lower case with hyphens, without what all full names have in common."""
    plain = _VERSION.sub(".", name[:_NAME_CHARS_MAX]).removeprefix("tandem.")
    return "-".join(_WORD.findall(plain.removesuffix("Service"))).lower()
