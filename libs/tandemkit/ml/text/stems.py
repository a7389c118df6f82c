"""What English words have in common with their other forms, roughly: for comparing, never shown."""

from __future__ import annotations

from typing import Final

_SHORT: Final = 4
_ENDINGS: Final = (
    ("ations", "ate"),
    ("ation", "ate"),
    ("ies", "y"),
    ("ing", ""),
    ("ers", ""),
    ("ed", ""),
    ("er", ""),
    ("es", ""),
    ("ly", ""),
    ("s", ""),
    ("e", ""),
)
_VOWELS: Final = frozenset("aeiouy")


def stem(word: str) -> str:
    """Of a word in lower case. Two forms of one word mostly have the same one."""
    if len(word) <= _SHORT - 1 or not word.isalpha():
        return word
    for ending, other in _ENDINGS:
        rest = word.removesuffix(ending)
        if rest != word and len(rest) >= _SHORT - 1 and not _VOWELS.isdisjoint(rest):
            return _plain(rest + other)
    return _plain(word)


def _plain(word: str) -> str:
    """Without the doubled letter, or the last vowel, that endings leave behind."""
    if len(word) > _SHORT - 1 and word[-1] == word[-2] and word[-1] not in _VOWELS:
        word = word[:-1]
    return word.removesuffix("e") if len(word) > _SHORT - 1 else word
