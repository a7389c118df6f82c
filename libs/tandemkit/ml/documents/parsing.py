"""From a file's bytes to a document. Pure and picklable, so that worker processes may do it."""

from __future__ import annotations

from dataclasses import replace

from tandemkit.ml.documents import media
from tandemkit.ml.documents.decoding import Decoded, decoded
from tandemkit.ml.documents.document import (
    CONTENT_BYTES_MAX,
    Cause,
    Document,
    DocumentFailure,
    checked_length,
)


def parsed(content: bytes, media_type: str = "", uri: str = "") -> Document:
    """What the file says, or a `DocumentFailure` that says why it cannot be read.

    `media_type` may be empty and `uri` may be no more than a file's name: what a file is, is then
    found from its name and content.
    """
    if len(content) > CONTENT_BYTES_MAX:
        raise DocumentFailure(
            Cause.TOO_LARGE,
            "this file is larger than a document may be; divide it",
            bytes=len(content),
            bytes_max=CONTENT_BYTES_MAX,
        )
    kind = media.media_type(content, media_type, uri)
    document = _document(content, kind, media.charset(media_type))
    if not document.blocks:
        raise DocumentFailure(Cause.NO_TEXT, "there is no text in this file", media_type=kind)
    return document if document.title else replace(document, title=media.file_name(uri))


def _document(content: bytes, kind: str, charset: str) -> Document:
    text = decoded(content, charset)
    checked_length(text.text)
    return replace(_of_text(text, kind), encoding=text.encoding, replaced=text.replaced)


def _of_text(text: Decoded, kind: str) -> Document:
    """Each reader is imported by who has such a file."""
    if kind == media.MARKDOWN:
        from tandemkit.ml.documents.markdown import markdown_document

        return markdown_document(text.text)
    from tandemkit.ml.documents.plain import plain_document

    return plain_document(text.text, kind)
