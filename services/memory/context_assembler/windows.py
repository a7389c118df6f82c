"""Candidates as the windows that are chosen by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tandemkit.ml.text.sentences import sentence_spans
from tandemkit.ml.text.tokens import estimated_tokens


@dataclass(frozen=True, slots=True)
class Candidate:
    """`age_s` is None where it has no age."""

    name: str
    text: str
    score: float
    age_s: float | None
    is_pinned: bool


@dataclass(frozen=True, slots=True)
class Window:
    """Some sentences of a candidate, or all of it; `candidate` is its number."""

    candidate: int
    start: int
    end: int


def windows_of(number: int, text: str, tokens_max: int | None) -> Iterator[Window]:
    """Whole sentences, as many as fit; a sentence that does not fit is a window of its own."""
    if tokens_max is None or estimated_tokens(text) <= tokens_max:
        yield Window(number, 0, len(text))
        return
    start, end, tokens = 0, 0, 0
    for sentence_start, sentence_end in sentence_spans(text):
        added = estimated_tokens(text[sentence_start:sentence_end])
        if tokens and tokens + added > tokens_max:
            yield Window(number, start, end)
            tokens = 0
        if not tokens:
            start = sentence_start
        end, tokens = sentence_end, tokens + added
    if tokens:
        yield Window(number, start, end)


def joined(windows: list[Window], texts: list[str]) -> list[Window]:
    """Those that follow each other in one candidate, with nothing but blanks between, as one."""
    result: list[Window] = []
    for window in windows:
        last = result[-1] if result else None
        if last and _follows(last, window, texts):
            result[-1] = Window(last.candidate, last.start, window.end)
        else:
            result.append(window)
    return result


def _follows(one: Window, other: Window, texts: list[str]) -> bool:
    between = texts[one.candidate][one.end : other.start]
    return one.candidate == other.candidate and one.end <= other.start and not between.strip()
