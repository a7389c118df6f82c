"""From a document's bytes to what is kept of it. Runs in a worker process: nothing here may hold
the loop of the host.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from services.memory.knowledge_base.facts import Triple, facts_of
from tandemkit.ml.documents.chunking import Chunk, chunks, context_of
from tandemkit.ml.documents.document import Cause, Document, DocumentFailure
from tandemkit.ml.documents.parsing import parsed

# Goes up with everything that makes other passages or facts of the same content, so that documents
# are read again.
FORM = "1"


@dataclass(frozen=True, slots=True)
class Part:
    """A passage to be: `text[start_char:end_char]` of its document."""

    start_char: int
    end_char: int
    page: int
    headings: tuple[str, ...]
    # Embedded above the body: tandemkit.ml.documents.
    context: str
    body: str
    hash: str
    facts: tuple[Triple, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """All that is kept of a document's content."""

    title: str
    media_type: str
    text: str
    parts: tuple[Part, ...]


def read(content: bytes, media_type: str, uri: str) -> Text | Cause:
    """What it says; why it cannot be read is an answer too, for it is nobody's failure here."""
    try:
        document = parsed(content, media_type, uri)
    except DocumentFailure as error:
        return error.cause
    parts = tuple(_part(document, chunk) for chunk in chunks(document))
    return Text(document.title, document.media_type, document.text, parts)


def _part(document: Document, chunk: Chunk) -> Part:
    context = context_of(document, chunk)
    told = "\0".join((document.title, *chunk.headings, context, chunk.text))
    return Part(
        chunk.start_char,
        chunk.end_char,
        chunk.page,
        chunk.headings,
        context,
        chunk.text,
        hashlib.sha256(told.encode()).hexdigest(),
        tuple(facts_of(document, chunk)),
    )
