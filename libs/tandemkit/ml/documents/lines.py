"""Where lines and paragraphs stand in a text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate

_BLANK = re.compile(r"\n(?:[^\S\n]*\n)+")


def line_starts(text: str) -> list[int]:
    """The offset of each line, and last the text's end, so that line `n` ends at `[n + 1]`."""
    starts = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    starts[-1] = len(text)
    return starts


def paragraphs(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The spans between blank lines."""
    for gap in _BLANK.finditer(text, start, end):
        if text[start : gap.start()].strip():
            yield start, gap.start() + 1
        start = gap.end()
    if text[start:end].strip():
        yield start, end
