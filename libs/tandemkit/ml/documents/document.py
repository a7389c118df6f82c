"""What a parser makes of a file: one text, and what its parts are."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum

from tandemkit.core.errors import Failure

CONTENT_BYTES_MAX = 100 * 1024 * 1024
# Of extracted text: a compressed file of ten megabytes can hold gigabytes of it.
TEXT_CHARS_MAX = 40_000_000


class Kind(StrEnum):
    """What a block of a document is, as far as it says how the block may be cut."""

    PROSE = "prose"
    HEADING = "heading"
    LIST = "list"
    TABLE = "table"
    CODE = "code"
    QUOTE = "quote"
    FRONT_MATTER = "front matter"


class Cause(StrEnum):
    """Why a file gives no document. None of them goes away by trying again."""

    TOO_LARGE = "too large"
    UNKNOWN_TYPE = "unknown type"
    NOT_TEXT = "not text"
    NO_TEXT = "no text"
    ENCRYPTED = "encrypted"
    BROKEN = "broken"


class DocumentFailure(Failure):
    """This file cannot be read as a document, and `cause` says in which of six ways."""

    def __init__(self, cause: Cause, message: str, **metadata: object) -> None:
        super().__init__(message, **metadata)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Block:
    """A span that is left whole where the limits allow. `cuts` are the places inside it, such as
    the starts of a list's items, where it is cut first when it is too long.
    """

    start_char: int
    end_char: int
    kind: Kind
    headings: tuple[str, ...] = ()
    cuts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with all that stands below it, deeper headings included. `headings` is the path
    to it, itself last.
    """

    start_char: int
    end_char: int
    headings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A file's text, and spans into it that are in order and do not overlap.

    `text` is what spans count in: a newline is one character, and markup of HTML and
    PDF is gone. `pages` are the offsets at which pages start, empty where there are none.
    `replaced` counts characters that could not be decoded, and `remarks` says what was not read
    as well as it might be.
    """

    text: str
    media_type: str
    title: str = ""
    blocks: tuple[Block, ...] = ()
    sections: tuple[Section, ...] = ()
    pages: tuple[int, ...] = ()
    encoding: str = "utf-8"
    replaced: int = 0
    remarks: tuple[str, ...] = ()

    def page_at(self, offset: int) -> int:
        """The page, from 1 on, in which this character stands; 0 in a document without pages."""
        return bisect_right(self.pages, offset)


def checked_length(text: str) -> str:
    """The same text, unless it is longer than a document may be."""
    if len(text) > TEXT_CHARS_MAX:
        raise DocumentFailure(
            Cause.TOO_LARGE,
            "the text in this file is longer than a document may be; divide it",
            chars=len(text),
            chars_max=TEXT_CHARS_MAX,
        )
    return text
