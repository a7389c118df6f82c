"""Markdown: CommonMark and its tables. The text stays as it was written, markup included."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tandemkit.ml.documents.document import Block, Document, Kind
from tandemkit.ml.documents.lines import line_starts, paragraphs
from tandemkit.ml.documents.media import MARKDOWN
from tandemkit.ml.documents.outline import Outline
from tandemkit.ml.documents.plain import plain_document

_PARSED_CHARS_MAX = 10_000_000  # some seconds; what is longer was written by no hand
_FRONT_MATTER = re.compile(
    r"---[^\S\n]*\n(?=[\w\"'-]+[^\S\n]*:)(?:.*\n)*?(?:---|\.\.\.)[^\S\n]*(?:\n|\Z)"
)
_TITLE = re.compile(r"^title:(.*)$", re.MULTILINE)
_KINDS = {
    "bullet_list_open": Kind.LIST,
    "ordered_list_open": Kind.LIST,
    "table_open": Kind.TABLE,
    "fence": Kind.CODE,
    "code_block": Kind.CODE,
    "blockquote_open": Kind.QUOTE,
}
_PARTS = frozenset({"list_item_open", "tr_open"})


def markdown_document(text: str) -> Document:
    """Its blocks are those of CommonMark that stand in no other; link definitions are prose."""
    if len(text) > _PARSED_CHARS_MAX:
        return plain_document(text, MARKDOWN, ("too long for its headings to be read",))
    front = _FRONT_MATTER.match(text)
    start = front.end() if front else 0
    reading = _Reading(text, start)
    if front:
        reading.blocks.append(Block(0, start, Kind.FRONT_MATTER))
    for token, parts in _top(_blocks_parser().parse(text[start:])):
        reading.take(token, parts)
    reading.fill(len(text))
    named = _TITLE.search(front[0]) if front else None
    sections = reading.outline.sections(len(text))
    first = next((one.headings[-1] for one in sections), "")
    title = named[1].strip().strip("\"'") if named else first
    return Document(text, MARKDOWN, title, tuple(reading.blocks), sections)


class _Reading:
    """Turns top-level tokens, which know lines, into blocks that leave no text between them."""

    def __init__(self, text: str, start: int) -> None:
        self._text = text
        self._starts = [start + one for one in line_starts(text[start:])]
        self._at = start
        self.blocks: list[Block] = []
        self.outline = Outline()

    def take(self, token: Token, parts: list[Token]) -> None:
        assert token.map is not None
        start, end = (self._starts[line] for line in token.map)
        self.fill(start)
        self._at = max(end, self._at)
        if token.type == "heading_open":
            self.outline.enter(int(token.tag[1:]), _spoken(parts[0].content), start)
            self._add(start, end, Kind.HEADING)
        else:
            cuts = [self._starts[part.map[0]] for part in parts if part.map]
            kind = _KINDS.get(token.type, Kind.PROSE)
            self._add(start, end, kind, tuple(cut for cut in cuts if start < cut < end))

    def fill(self, end: int) -> None:
        """What stands before `end` and is no token: definitions of links, blank lines."""
        if self._at < end:
            for span in paragraphs(self._text, self._at, end):
                self._add(*span, Kind.PROSE)

    def _add(self, start: int, end: int, kind: Kind, cuts: tuple[int, ...] = ()) -> None:
        self.blocks.append(Block(start, end, kind, self.outline.path, cuts))


def _top(tokens: list[Token]) -> list[tuple[Token, list[Token]]]:
    """The blocks that stand in no other, each with the tokens that name its heading or parts."""
    opened = [at for at, one in enumerate(tokens) if one.level == 0 and one.nesting >= 0]
    found = []
    for at, after in pairwise([*opened, len(tokens)]):
        token = tokens[at]
        if token.type == "heading_open":
            found.append((token, [tokens[at + 1]]))
        elif token.map:
            level = 2 if token.type == "table_open" else 1
            inner = tokens[at + 1 : after]
            parts = [one for one in inner if one.type in _PARTS and one.level == level]
            found.append((token, parts))
    return found


def _spoken(markup: str) -> str:
    """A heading as it is read out: without emphasis, code marks and the targets of links."""
    inline = _inline_parser().parseInline(markup)
    children = (inline[0].children or []) if inline else []
    return "".join(
        " " if one.type in {"softbreak", "hardbreak"} else one.content
        for one in children
        if one.type != "html_inline"
    ).strip()


@cache
def _blocks_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.disable(["inline", "text_join"])
    return parser


@cache
def _inline_parser() -> MarkdownIt:
    return MarkdownIt("commonmark")
