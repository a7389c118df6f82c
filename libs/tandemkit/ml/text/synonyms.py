"""Words that people ask with for what others write with another one: few, and of how things are
done with software. All as stems.
"""

from __future__ import annotations

from typing import Final

from tandemkit.ml.text.stems import stem

_GROUPS: Final = (
    "add new create",
    "remove delete drop",
    "stop end down shut",
    "start begin up launch",
    "crash die kill fail",
    "change edit modify",
    "undo revert rollback",
    "check test",
    "give grant lend",
)
_SYNONYMS: Final = {
    stem(one): frozenset(map(stem, group.split())) - {stem(one)}
    for group in _GROUPS
    for one in group.split()
}


def synonyms(word: str) -> frozenset[str]:
    """Stems of other words for it; mostly none."""
    return _SYNONYMS.get(stem(word), frozenset())
