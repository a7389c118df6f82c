"""Source code: definitions, with the comments above them, are what is left whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tandemkit.ml.documents.document import Block, Document, Kind, Section
from tandemkit.ml.documents.lines import line_starts, paragraphs

# Beyond it code was made by a program, and what is made to be hostile takes a grammar 20 us a char.
PARSED_CHARS_MAX = 500_000


@dataclass(frozen=True, slots=True)
class Definition:
    """A class, function or the like, from its first line to before `end_line`, from 0 on."""

    name: str
    start_line: int
    end_line: int
    inner: tuple[Definition, ...] = ()


def code_document(
    text: str,
    media_type: str,
    find: Callable[[str], Sequence[Definition] | None],
    comment_marks: tuple[str, ...],
) -> Document:
    """By what `find` finds; where that is None, which says no, by how the text is indented."""
    if len(text) > PARSED_CHARS_MAX:
        return indented_document(text, media_type, ("too long for its definitions to be read",))
    found = find(text)
    if found is None:
        return indented_document(text, media_type, ("not understood as code of its language",))
    reading = _Reading(text, comment_marks)
    reading.take(found, 0, len(reading.starts) - 1, ())
    return Document(
        text, media_type, blocks=tuple(reading.blocks), sections=tuple(reading.sections)
    )


def indented_document(text: str, media_type: str, remarks: tuple[str, ...] = ()) -> Document:
    """A block starts after a blank line, where a line is not indented."""
    blocks: list[Block] = []
    for start, end in paragraphs(text, 0, len(text)):
        first = text[start:end].lstrip("\n")[:1]
        if blocks and first.isspace():
            blocks[-1] = Block(blocks[-1].start_char, end, Kind.CODE)
        else:
            blocks.append(Block(start, end, Kind.CODE))
    return Document(text, media_type, blocks=tuple(blocks), remarks=remarks)


class _Reading:
    def __init__(self, text: str, comment_marks: tuple[str, ...]) -> None:
        self._text = text
        self._marks = comment_marks
        self.starts = line_starts(text)
        self.blocks: list[Block] = []
        self.sections: list[Section] = []

    def take(
        self, found: Sequence[Definition], line: int, end_line: int, path: tuple[str, ...]
    ) -> None:
        """The lines up to `end_line`: definitions, and what stands between them."""
        for one in found:
            start_line = max(line, self._with_comments(one.start_line, line))
            stop_line = min(one.end_line, end_line)
            if start_line >= stop_line:
                continue  # a second one on the same line
            self._between(line, start_line, path)
            inner_path = (*path, one.name)
            start, end = self.starts[start_line], self.starts[stop_line]
            self.sections.append(Section(start, end, inner_path))
            if one.inner:
                self.take(one.inner, start_line, stop_line, inner_path)
            else:
                self.blocks.append(Block(start, end, Kind.CODE, inner_path))
            line = stop_line
        self._between(line, end_line, path)

    def _between(self, line: int, end_line: int, path: tuple[str, ...]) -> None:
        if line < end_line:
            start, end = self.starts[line], self.starts[end_line]
            if self._text[start:end].strip():
                self.blocks.append(Block(start, end, Kind.CODE, path))

    def _with_comments(self, line: int, first: int) -> int:
        while line > first and self._line(line - 1).startswith(self._marks):
            line -= 1
        return line

    def _line(self, line: int) -> str:
        return self._text[self.starts[line] : self.starts[line + 1]].lstrip()


def in_order(found: Iterator[Definition]) -> tuple[Definition, ...]:
    """As they start; of two that overlap the first."""
    kept: list[Definition] = []
    for one in sorted(found, key=lambda each: each.start_line):
        if not kept or one.start_line >= kept[-1].end_line:
            kept.append(one)
    return tuple(kept)
