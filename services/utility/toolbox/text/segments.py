"""Where a text may be cut: graphemes, words, lines, sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import re2
import regex

# Pairs of regional indicators are matched here first: left to \X, a long run of flags costs the
# square of its length, because the rule for one flag counts back over the whole run.
_GRAPHEME: Final = regex.compile(
    r"[\U0001F1E6-\U0001F1FF]{2}[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]*|\X"
)
_FLAGS: Final = regex.compile(r"[\U0001F1E6-\U0001F1FF]+")
_WORD_BOUNDARY: Final = regex.compile(r"(?wV1)\b")
_LINE_END: Final = regex.compile(r"\r\n|\r|\n")
# Marks with their closing quotes before space or the end; full-width marks; blank lines.
_SENTENCE_END: Final = re2.compile(
    r"[.!?…]+[\"'”\x{2019}»)\]]*(?:[\s\pZ]|\z)"
    r"|[。\x{FF01}\x{FF1F}]+[”\x{2019}」』\x{FF09}]*"
    r"|\n[ \t\r]*\n"
)


@dataclass(frozen=True, slots=True)
class Counts:
    """What a text consists of."""

    graphemes: int
    code_points: int
    bytes: int
    words: int
    lines: int
    sentences: int


def graphemes(text: str) -> list[str]:
    """The extended grapheme clusters; joined they are the text."""
    return list(_GRAPHEME.findall(text))


def words(text: str) -> list[str]:
    """The word segments that hold a letter or a digit."""
    unflagged = _FLAGS.sub(" ", text)
    return [segment for segment in _WORD_BOUNDARY.split(unflagged) if _says_something(segment)]


def lines(text: str) -> list[str]:
    """The lines without their ends. An end closes a line and opens none."""
    parts: list[str] = _LINE_END.split(text)
    return parts if parts[-1] else parts[:-1]


def sentences(text: str) -> list[str]:
    """An estimate: runs of text closed by a sentence mark or a blank line."""
    found, start = [], 0
    for end in _SENTENCE_END.finditer(text):
        found.append(text[start : end.end()])
        start = end.end()
    return [run for run in [*found, text[start:]] if _says_something(run)]


def count(text: str) -> Counts:
    """Counts everything at once."""
    return Counts(
        graphemes=len(graphemes(text)),
        code_points=len(text),
        bytes=len(text.encode()),
        words=len(words(text)),
        lines=len(lines(text)),
        sentences=len(sentences(text)),
    )


def _says_something(segment: str) -> bool:
    return any(character.isalnum() for character in segment)
