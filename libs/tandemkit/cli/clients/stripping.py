"""Contracts without field rules: what a client compiles, and no file that no package carries.

Rules are checked by the server before an agent sees a request. Every comment, name and number
stays, and so do our own options.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_RULES = "buf.validate."
_IMPORT = re.compile(r'^import "buf/validate/[^"]*";\n', re.MULTILINE)
# Strings and comments may hold brackets and commas that mean nothing; comments are passed over.
_LEXICAL = re.compile(
    r"""//[^\n]*|/\*.*?\*/|(?P<word>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[\w.]+|[^\s\w])""",
    re.DOTALL,
)
_DEPTH = {"[": 1, "{": 1, "(": 1, "]": -1, "}": -1, ")": -1}


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    start: int
    end: int


def without_rules(proto: str) -> str:
    """The same contract without options of buf.validate and without their import."""
    text = _IMPORT.sub("", proto)
    words = [
        _Word(found["word"], found.start(), found.end())
        for found in _LEXICAL.finditer(text)
        if found["word"]
    ]
    kept, position = [], 0
    for start, end, instead in _cuts(text, words):
        kept += [text[position:start], instead]
        position = end
    return "".join((*kept, text[position:]))


def _cuts(text: str, words: list[_Word]) -> Iterator[tuple[int, int, str]]:
    """What goes, from where to where, and what comes instead."""
    index = 0
    while index < len(words):
        word = words[index]
        if word.text == "option":
            last = _closing(words, index, ";")
            if words[index + 2].text.startswith(_RULES):
                # Its whole lines: nothing else stands there.
                start = text.rfind("\n", 0, word.start) + 1
                yield start, words[last].end + 1, ""
            index = last
        elif word.text == "[":
            last = _closing(words, index + 1, "]")
            yield from _list(text, words[index : last + 1])
            index = last
        index += 1


def _list(text: str, words: list[_Word]) -> Iterator[tuple[int, int, str]]:
    """Of a list of options in brackets, those that are no rules; no brackets where none is left."""
    entries = list(_entries(words[1:-1]))
    ours = [entry for entry in entries if not entry[1].text.startswith(_RULES)]
    if len(ours) == len(entries):
        return
    left = ", ".join(text[entry[0].start : entry[-1].end] for entry in ours)
    before = len(text[: words[0].start].rstrip())
    yield before, words[-1].end, f" [{left}]" if left else ""


def _entries(words: list[_Word]) -> Iterator[list[_Word]]:
    index = 0
    while index < len(words):
        last = _closing(words, index, ",")
        yield words[index:last]
        index = last + 1


def _closing(words: list[_Word], index: int, wanted: str) -> int:
    """Where `wanted` comes next outside of brackets, or the end."""
    depth = 0
    for position in range(index, len(words)):
        if words[position].text == wanted and depth == 0:
            return position
        depth += _DEPTH.get(words[position].text, 0)
    return len(words)
