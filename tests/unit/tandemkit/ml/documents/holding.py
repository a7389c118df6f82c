"""What holds for the chunks of every document."""

from __future__ import annotations

import regex

from tandemkit.ml.documents.chunking import Chunk, Limits, chunks
from tandemkit.ml.documents.document import Document
from tandemkit.ml.text.tokens import estimated_tokens


def check(document: Document, limits: Limits) -> list[Chunk]:
    """The chunks, of which each promise has been held to."""
    found = list(chunks(document, limits))
    clusters = {one.end() for one in regex.finditer(r"\X", document.text)} | {0}
    at = 0
    for chunk in found:
        assert document.text[chunk.start_char : chunk.end_char] == chunk.text
        assert chunk.start_char >= at
        assert not document.text[at : chunk.start_char].strip()
        assert {chunk.start_char, chunk.end_char} <= clusters
        is_one = len(regex.findall(r"\X", chunk.text)) == 1
        assert is_one or estimated_tokens(chunk.text) <= limits.tokens_max
        at = chunk.end_char
    assert not document.text[at:].strip()
    return found
