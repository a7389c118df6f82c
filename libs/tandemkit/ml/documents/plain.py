"""Text that says nothing of its structure: paragraphs."""

from __future__ import annotations

from tandemkit.ml.documents.document import Block, Document, Kind
from tandemkit.ml.documents.lines import paragraphs


def plain_document(text: str, media_type: str, remarks: tuple[str, ...] = ()) -> Document:
    """Blank lines part its blocks."""
    blocks = tuple(Block(*span, Kind.PROSE) for span in paragraphs(text, 0, len(text)))
    return Document(text, media_type, blocks=blocks, remarks=remarks)


def table_document(text: str, media_type: str) -> Document:
    """One table, a row to a line."""
    blocks = (Block(0, len(text), Kind.TABLE),) if text.strip() else ()
    return Document(text, media_type, blocks=blocks)
