"""PDF: the text of its pages, without what is printed on each of them."""

from __future__ import annotations

import logging
import re
from collections import Counter
from io import BytesIO
from itertools import accumulate

from pypdf import PdfReader
from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError, PyPdfError

from tandemkit.ml.documents.decoding import clean
from tandemkit.ml.documents.document import (
    TEXT_CHARS_MAX,
    Block,
    Cause,
    Document,
    DocumentFailure,
    Kind,
    checked_length,
)
from tandemkit.ml.documents.lines import paragraphs
from tandemkit.ml.documents.media import PDF

# What it says of damage quotes the file, and nobody reads it.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)

_PAGES_MAX = 20_000
_EDGE_LINES = 2
_RUNNING_PAGES_MIN = 3
_HYPHENATED = re.compile(r"(?<=[^\W\d_])[-\u00ad\u2010]\n(?=[^\W\d_])(?=[^A-Z])")
_DIGITS = re.compile(r"\d+")
# A damaged file breaks its reader in more ways than it has names for.
_DAMAGED = (
    PyPdfError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)


def pdf_document(content: bytes) -> Document:
    """Its paragraphs page by page. A scan without text is refused: nothing here reads pictures."""
    try:
        reader = PdfReader(BytesIO(content))
        _check_open(reader)
        pages = _pages(reader)
        title = str((reader.metadata and reader.metadata.title) or "")
    except (FileNotDecryptedError, DependencyError) as e:
        raise _encrypted() from e
    except LimitReachedError as e:
        raise DocumentFailure(
            Cause.TOO_LARGE, "a part of this PDF unpacks to more than a document may hold"
        ) from e
    except _DAMAGED as e:
        raise DocumentFailure(
            Cause.BROKEN, "this PDF is damaged; print it into a new one", kind=type(e).__name__
        ) from e
    if not any(page.strip() for page in pages):
        raise DocumentFailure(
            Cause.NO_TEXT,
            "the pages of this PDF are pictures without text; run text recognition on it first",
            pages=len(pages),
        )
    return _document(_without_running_lines(pages), clean(title).strip()[:200])


def _check_open(reader: PdfReader) -> None:
    """Many files are encrypted with no password, so that any reader may open them."""
    if reader.is_encrypted and not reader.decrypt(""):
        raise _encrypted()
    if len(reader.pages) > _PAGES_MAX:
        raise DocumentFailure(
            Cause.TOO_LARGE,
            "this PDF has more pages than a document may have; divide it",
            pages=len(reader.pages),
            pages_max=_PAGES_MAX,
        )


def _encrypted() -> DocumentFailure:
    return DocumentFailure(
        Cause.ENCRYPTED, "this PDF is encrypted; store it without a password first"
    )


def _pages(reader: PdfReader) -> list[str]:
    pages: list[str] = []
    chars = 0
    for page in reader.pages:
        text = clean(page.extract_text())
        chars += len(text)
        if chars > TEXT_CHARS_MAX:
            checked_length("".join([*pages, text]))
        pages.append(text)
    return pages


def _without_running_lines(pages: list[str]) -> list[str]:
    """Without lines at the edges that most pages have, but for their numbers."""
    split = [[line.rstrip() for line in page.split("\n")] for page in pages]
    seen = Counter(form for lines in split for form in {_form(lines[at]) for at in _edges(lines)})
    often = max(_RUNNING_PAGES_MIN, len(pages) // 2 + 1)
    running = {form for form, times in seen.items() if times >= often}
    for lines in split:
        for at in _edges(lines):
            if _form(lines[at]) in running:
                lines[at] = ""
    return ["\n".join(lines) for lines in split] if any(map(any, split)) else pages


def _edges(lines: list[str]) -> list[int]:
    """Where the lines are that a header or a footer may be: of a page of few lines, fewer."""
    said = [at for at, line in enumerate(lines) if line]
    count = min(_EDGE_LINES, len(said) // 3)
    return said[:count] + said[len(said) - count :]


def _form(line: str) -> str:
    return _DIGITS.sub("#", " ".join(line.split()))


def _document(pages: list[str], title: str) -> Document:
    joined = [_HYPHENATED.sub("", page).strip("\n") + "\n\n" for page in pages]
    starts = tuple(accumulate((len(page) for page in joined[:-1]), initial=0))
    text = checked_length("".join(joined))
    blocks = tuple(Block(*span, Kind.PROSE) for span in paragraphs(text, 0, len(text)))
    return Document(text, PDF, title, blocks, pages=starts)
