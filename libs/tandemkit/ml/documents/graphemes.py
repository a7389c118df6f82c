"""Where a text may be cut so that no letter loses its accent and no emoji its half."""

from __future__ import annotations

from collections.abc import Iterator

import regex

# One letter may carry any number of marks. What is longer than this is an attack, and is cut.
_GRAPHEME_CHARS_MAX = 200

_GRAPHEME = regex.compile(r"\X")
_GRAPHEMES = regex.compile(r"\X{1,32}")


def is_cut(text: str, at: int) -> bool:
    """Whether a grapheme ends at `at`, given that a blank stands on one of its sides."""
    pair = text[at - 1 : at + 1] if at > 0 else ""
    return len(pair) < 2 or len(_GRAPHEME.match(pair)[0]) == 1


def graphemes(text: str, start: int, end: int) -> Iterator[int]:
    """The ends of the graphemes in a span that starts with one."""
    yield from _ends(_GRAPHEME, text, start, end)


def grapheme_runs(text: str, start: int, end: int) -> Iterator[int]:
    """Some of these ends, at most 32 graphemes apart: what is quick enough for a long text."""
    yield from _ends(_GRAPHEMES, text, start, end)


def _ends(pattern: regex.Pattern[str], text: str, start: int, end: int) -> Iterator[int]:
    for found in pattern.finditer(text, start, end):
        yield from range(found.start() + _GRAPHEME_CHARS_MAX, found.end(), _GRAPHEME_CHARS_MAX)
        yield found.end()


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without the blanks around it; a blank that carries an accent stays."""
    inner = text[start:end]
    first = start + len(inner) - len(inner.lstrip())
    last = start + len(inner.rstrip())
    if first >= last:
        return start, start
    while first > start and not is_cut(text, first):
        first -= 1
    while last < end and not is_cut(text, last):
        last += 1
    return first, last
