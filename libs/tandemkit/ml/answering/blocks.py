"""What of a text can be quoted alone: sentences, and lists, commands and tables that stay whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tandemkit.ml.text.sentences import sentence_spans

_LINE = re.compile(r"[^\n]*\n?")
_FENCE = re.compile(r"\s{0,3}(```+|~~~+)")
_ITEM = re.compile(r"\s{0,9}(?:[-*+]|\d{1,9}[.)])\s+\S")
_HEADING = re.compile(r"\s{0,3}#{1,6}\s")
_ROW = re.compile(r"\s*\|")
_TOP_ITEM = re.compile(r"(?:[-*+]|\d{1,9}[.)])\s+\S")
# Between the head of a table and its rows.
_RULE = re.compile(r"[\s|:-]+")
_WHOLE_CHARS_MAX = 700
_INDENTED = re.compile(r"\s{2,}\S")


class Form(StrEnum):
    """How something is said."""

    HEADING = "heading"
    PROSE = "prose"
    LIST = "list"
    CODE = "code"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Block:
    """`text[start:end]` of what it was found in, without the blanks around it."""

    start: int
    end: int
    form: Form


def blocks(text: str) -> list[Block]:
    """In order. What is written without markup is prose."""
    found: list[Block] = []
    for start, end, form in _runs(text):
        piece = text[start:end]
        kept = piece.strip()
        if kept:
            begins = start + len(piece) - len(piece.lstrip("\n"))
            found.append(Block(begins, begins + len(piece.strip("\n").rstrip()), form))
    return found


def pieces(text: str, block: Block) -> list[tuple[int, int]]:
    """What may be quoted of it alone: sentences of prose, rows and items of what is long, all of
    anything else.
    """
    piece = text[block.start : block.end]
    if block.form is Form.PROSE:
        spans = sentence_spans(piece)
    elif len(piece) > _WHOLE_CHARS_MAX and block.form in {Form.TABLE, Form.LIST}:
        spans = list(_parts(piece, _ROW if block.form is Form.TABLE else _TOP_ITEM))
    else:
        spans = [(0, len(piece))]
    return [(block.start + start, block.start + end) for start, end in spans]


def _parts(piece: str, begins: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """From line to line that begins one."""
    starts = [line.start() for line in _LINE.finditer(piece) if begins.match(line.group())]
    for start, end in zip(starts, [*starts[1:], len(piece)], strict=True):
        if not _RULE.fullmatch(piece[start:end]):
            yield start, start + len(piece[start:end].rstrip())


def _runs(text: str) -> Iterator[tuple[int, int, Form]]:
    """Lines that belong together."""
    begun, form, fence = 0, Form.PROSE, ""
    has_blank = False
    for line in _LINE.finditer(text):
        if not line.group():
            break
        is_blank = not line.group().strip()
        if fence:
            if line.group().strip().startswith(fence):
                yield begun, line.end(), Form.CODE
                begun, form, fence = line.end(), Form.PROSE, ""
            continue
        if opened := _FENCE.match(line.group()):
            yield begun, line.start(), form
            begun, fence = line.start(), opened[1]
            continue
        now = _form(line.group())
        continues = is_blank or _continues(form, now, line.group(), has_blank=has_blank)
        if not continues or (is_blank and form in {Form.PROSE, Form.TABLE, Form.HEADING}):
            yield begun, line.start(), form
            begun, form = line.start(), now
        elif line.start() == begun:
            form = now
        has_blank = is_blank
    yield begun, len(text), Form.CODE if fence else form


def _form(line: str) -> Form:
    if _HEADING.match(line):
        return Form.HEADING
    if _ITEM.match(line):
        return Form.LIST
    return Form.TABLE if _ROW.match(line) else Form.PROSE


def _continues(form: Form, now: Form, line: str, *, has_blank: bool) -> bool:
    if form is Form.LIST:
        # A line of its own behind an item belongs to it unless a blank line parts them.
        return now is Form.LIST or bool(_INDENTED.match(line)) or not has_blank
    return now is form and form is not Form.HEADING
