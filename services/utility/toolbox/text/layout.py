"""Fitting text into a width or a length, counted in graphemes and never cut inside one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from services.utility.toolbox.limits import refuse_above
from services.utility.toolbox.offload import checkpoint
from services.utility.toolbox.text.segments import graphemes

_BREAKABLE = re.compile(r"[ \t]+")
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Layout:
    """How lines are filled; `width` counts graphemes and includes the indent."""

    width: int
    hanging_indent: int = 0
    keep_long_words: bool = False


def wrap(text: str, layout: Layout, *, bytes_max: int) -> list[str]:
    """Breaks each line of the text into lines that fit.

    Runs of spaces and tabs are where a line may break; inside a line they become one space.
    """
    lines: list[str] = []
    size = 0
    indent = " " * layout.hanging_indent
    for source in _LINE_END.split(text) if text else ():
        for number, line in enumerate(_filled(source, layout)):
            lines.append(indent + line if number else line)
            size += len(lines[-1]) + 1
            refuse_above(bytes_max, size, "text")
    return lines


def _filled(source: str, layout: Layout) -> Iterator[str]:
    """Fills lines greedily; every line but the first has the indent's width less to give."""
    below = layout.width - layout.hanging_indent
    line: list[str] = []
    used, room = 0, layout.width
    for word in _BREAKABLE.split(source.strip(" \t")):
        checkpoint()
        for piece, size in _pieces(graphemes(word), below, whole=layout.keep_long_words):
            gap = 1 if line else 0
            if line and used + gap + size > room:
                yield " ".join(line)
                line, used, room, gap = [], 0, below, 0
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
