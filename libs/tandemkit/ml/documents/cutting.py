"""Cuts a span that is too long where it hurts least."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import regex

from tandemkit.ml.documents.document import Block, Kind
from tandemkit.ml.documents.graphemes import grapheme_runs, graphemes, is_cut
from tandemkit.ml.text.tokens import estimated_tokens

Span = tuple[int, int]

_BLANK_LINE, _LINE, _SENTENCE, _CLAUSE, _WORD = (
    regex.compile(r"\n\s*\n"),
    regex.compile(r"\n"),
    regex.compile("[.!?\u2026][\"'\u201d\u2019)\\]]*\\s+|[\u3002\uff01\uff1f]\\s*"),
    regex.compile(r"[,;:]\s+"),
    regex.compile(r"\s+"),
)


def pieces(text: str, block: Block, tokens_max: int) -> list[Span]:
    """The block in order and without gaps, each piece within the limit and as long as that allows.

    It is cut at its `cuts` where that is enough, then at blank lines, lines, sentences, clauses,
    words, and last between any two graphemes. Lines of prose mean nothing: sentences come first.
    """
    span, cuts = (block.start_char, block.end_char), block.cuts
    places = [_BLANK_LINE, _LINE, _SENTENCE, _CLAUSE, _WORD]
    if block.kind in {Kind.PROSE, Kind.QUOTE}:
        places = [_BLANK_LINE, _SENTENCE, _LINE, _CLAUSE, _WORD]
    if estimated_tokens(text[span[0] : span[1]]) <= tokens_max:
        return [span]
    ways: list[Callable[[Span], Iterable[int]]] = [
        lambda one: (cut for cut in cuts if one[0] < cut < one[1]),
        *(_at(text, place) for place in places),
        lambda one: grapheme_runs(text, *one),
        lambda one: graphemes(text, *one),
    ]
    return _cut(text, span, ways, tokens_max)


def _cut(
    text: str, span: Span, ways: list[Callable[[Span], Iterable[int]]], tokens_max: int
) -> list[Span]:
    done: list[Span] = []
    size = tokens_max  # of the last of `done`: nothing joins what is full
    for part in _parts(span, ways[0](span)):
        tokens = estimated_tokens(text[part[0] : part[1]])
        if done and size + tokens <= tokens_max:
            done[-1] = (done[-1][0], part[1])
            size += tokens
        elif tokens <= tokens_max or len(ways) == 1:
            done.append(part)
            size = tokens
        else:
            done.extend(_cut(text, part, ways[1:], tokens_max))
            size = tokens_max
    return done


def _parts(span: Span, cuts: Iterable[int]) -> Iterator[Span]:
    start, end = span
    for cut in cuts:
        if start < cut < end:
            yield start, cut
            start = cut
    yield start, end


def _at(text: str, place: regex.Pattern[str]) -> Callable[[Span], Iterable[int]]:
    def ends(span: Span) -> Iterator[int]:
        for found in place.finditer(text, *span):
            if is_cut(text, found.end()):
                yield found.end()

    return ends
