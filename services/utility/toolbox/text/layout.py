"""Fitting text into a width or a length, counted in graphemes and never cut inside one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.utility.toolbox.offload import checkpoint
from services.utility.toolbox.text.segments import graphemes

_BREAKABLE = re.compile(r"[ \t]+")
_LINE_END = re.compile(r"\r\n|\r|\n")


def wrap(text: str, *, width: int, hanging_indent: int, keep_long_words: bool) -> list[str]:
    """Breaks each line of the text into lines of at most `width` graphemes.

    Runs of spaces and tabs are where a line may break; inside a line they become one space.
    """
    if not text:
        return []
    indent = " " * hanging_indent
    return [
        f"{indent}{line}" if number and hanging_indent else line
        for source in _LINE_END.split(text)
        for number, line in enumerate(_filled(source, width, hanging_indent, whole=keep_long_words))
    ]


def _filled(source: str, width: int, indent: int, *, whole: bool) -> Iterator[str]:
    """Fills lines greedily; every line but the first has `indent` graphemes less to give."""
    line: list[str] = []
    used, room = 0, width
    for word in _BREAKABLE.split(source.strip(" \t")):
        checkpoint()
        for piece, size in _pieces(graphemes(word), width - indent, whole=whole):
            gap = 1 if line else 0
            if line and used + gap + size > room:
                yield " ".join(line)
                line, used, room, gap = [], 0, width - indent, 0
            line.append(piece)
            used += gap + size
    yield " ".join(line)


def _pieces(word: list[str], width: int, *, whole: bool) -> Iterator[tuple[str, int]]:
    if whole or len(word) <= width:
        yield "".join(word), len(word)
        return
    for start in range(0, len(word), width):
        piece = word[start : start + width]
        yield "".join(piece), len(piece)


def truncate(text: str, *, graphemes_max: int, ellipsis: str, at_word: bool) -> tuple[str, bool]:
    """Shortens to `graphemes_max` graphemes, ellipsis included, and says whether it had to."""
    clusters = graphemes(text)
    if len(clusters) <= graphemes_max:
        return text, False
    ending = graphemes(ellipsis)
    if len(ending) > graphemes_max:
        ending = []
    room = graphemes_max - len(ending)
    kept = "".join(clusters[:room])
    if at_word and not clusters[room].isspace():
        kept = _whole_words(kept)
    return kept.rstrip() + "".join(ending), True


def _whole_words(kept: str) -> str:
    """Drops the word that the cut went through, unless nothing stands before it."""
    for position in range(len(kept) - 1, -1, -1):
        if kept[position].isspace():
            return kept[:position].rstrip() or kept
    return kept
