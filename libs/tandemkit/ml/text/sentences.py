"""Where sentences are in a text, by rules and without a model. Spans, so that whoever quotes can
say where.
"""

from __future__ import annotations

import regex

# Dots behind these end nothing. Lower case, without the dot.
_SHORTENED = """
al approx ca cf co corp dept dr ed eds eq etc fig figs i.e e.g inc jr ltd max min mr mrs ms mt no
nos op p pp prof resp sec sr st tab u.k u.s vol vs
"""
_SHORT = frozenset(_SHORTENED.split())
# A mark of an end, perhaps within a quotation or bracket, and room behind it; or an empty line.
_END = regex.compile(r"""(?:[.!?…]+["'”’»)\]]*(?=\s)|[。！？]+["”’」』）]*)|\n[ \t]*(?=\n)""")
_WORD_BEFORE = regex.compile(r"[\p{L}\p{N}.]+$")
_BEGINS = regex.compile(r"""\s*["'“‘«(\[`*_#-]*[\p{Lu}\p{Lt}\p{Lo}\p{N}`]""")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence, without the blanks around it, in order. Blank lines always
    end one; a dot only where what follows begins like a sentence and what precedes is no known
    abbreviation or initial.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for mark in _END.finditer(text):
        if _is_end(text, mark):
            _add(spans, text, start, mark.end())
            start = mark.end()
    _add(spans, text, start, len(text))
    return spans


def sentences(text: str) -> list[str]:
    """The same as texts."""
    return [text[start:end] for start, end in sentence_spans(text)]


def _is_end(text: str, mark: regex.Match[str]) -> bool:
    said = mark.group()
    if not said.startswith("."):
        return True
    if set(said) == {"."}:
        before = _WORD_BEFORE.search(text, max(0, mark.start() - 24), mark.start())
        word = before.group().lower() if before else ""
        if word in _SHORT or (len(word) == 1 and word.isalpha()):
            return False
    return _BEGINS.match(text, mark.end()) is not None


def _add(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    blank = len(piece) - len(piece.lstrip())
    kept = piece.strip()
    if kept:
        spans.append((start + blank, start + blank + len(kept)))
