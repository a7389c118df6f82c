"""From elements that open and close to a text with blocks."""

from __future__ import annotations

import re

from tandemkit.ml.documents.document import Block, Document, Kind
from tandemkit.ml.documents.media import HTML
from tandemkit.ml.documents.outline import Outline

_BLANKS = re.compile(r"\s+")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS_NAMES = """
address article aside blockquote body center dd details dialog div dl dt fieldset figcaption
figure footer form header hgroup hr html main nav p search section summary
"""
_BLOCKS = frozenset(_BLOCKS_NAMES.split())
_INDENTS_MAX = 8
_KINDS = {
    "ul": Kind.LIST,
    "ol": Kind.LIST,
    "table": Kind.TABLE,
    "pre": Kind.CODE,
    "blockquote": Kind.QUOTE,
    **dict.fromkeys(_HEADINGS, Kind.HEADING),
}


class PageText:
    """The text of a page so far. Of elements within one that is left whole, such as a table in a
    list, only the outermost makes a block.
    """

    def __init__(self) -> None:
        self._done: list[str] = []
        self._length = 0
        self._now: list[str] = []
        self._now_chars = 0
        self._cuts: list[int] = []
        self._whole: list[str] = []  # the elements that are left whole, outermost first
        self._blocks: list[Block] = []
        self._outline = Outline()

    def say(self, text: str) -> None:
        if "pre" not in self._whole:
            text = _BLANKS.sub(" ", text)
            if not self._now or self._now[-1][-1:].isspace():
                text = text.lstrip()
        self._add(text)

    def open(self, tag: str) -> None:
        if tag in _KINDS:
            if not self._whole:
                self._end(Kind.PROSE)
            elif tag in {"ul", "ol"}:
                self._line()
            self._whole.append(tag)
        elif tag == "li":
            lists = self._whole[:_INDENTS_MAX].count("ul") + self._whole[:_INDENTS_MAX].count("ol")
            self._part("  " * (lists - 1) + "- ")
        elif tag == "tr":
            self._part("")
        elif tag in {"td", "th"} and self._now and not self._now[-1].endswith("\n"):
            self._add(" | ")
        elif tag == "br":
            self._line()
        elif tag in _BLOCKS:
            self._separate()

    def close(self, tag: str) -> None:
        if tag in _KINDS and tag in self._whole:
            while self._whole.pop() != tag:
                pass
            if not self._whole:
                self._end(_KINDS[tag], _HEADINGS.get(tag, 0))
        elif tag in _BLOCKS:
            self._separate()

    def document(self) -> Document:
        self._end(Kind.PROSE)
        text = "".join(self._done)
        sections = self._outline.sections(len(text))
        title = sections[0].headings[0] if sections else ""
        return Document(text, HTML, title, tuple(self._blocks), sections)

    def _separate(self) -> None:
        if not self._whole:
            self._end(Kind.PROSE)
        elif not {"table", *_HEADINGS}.intersection(self._whole) and not self._is_fresh_item():
            self._line()

    def _is_fresh_item(self) -> bool:
        return bool(self._now) and self._now[-1].endswith("- ")

    def _part(self, mark: str) -> None:
        """A row or an item starts here."""
        if not self._whole:
            self._end(Kind.PROSE)
        self._line()
        if self._now:
            self._cuts.append(self._now_chars)
        self._add(mark)

    def _line(self) -> None:
        if self._now and not self._now[-1].endswith("\n"):
            self._add("\n")

    def _add(self, text: str) -> None:
        if text:
            self._now.append(text)
            self._now_chars += len(text)

    def _end(self, kind: Kind, level: int = 0) -> None:
        said = "".join(self._now).rstrip()
        start, end = self._length, self._length + len(said)
        cuts = tuple(start + cut for cut in self._cuts if cut < len(said))
        self._now, self._now_chars, self._cuts = [], 0, []
        if not said.strip("- \n|"):
            return
        if level:
            self._outline.enter(level, said, start)
        self._blocks.append(Block(start, end, kind, self._outline.path, cuts))
        self._done += (said, "\n\n")
        self._length = end + 2
