"""From a file's bytes to a document. Pure and picklable, so that worker processes may do it."""

from __future__ import annotations

from dataclasses import replace

from tandemkit.ml.documents import media
from tandemkit.ml.documents.code import indented_document
from tandemkit.ml.documents.decoding import decoded
from tandemkit.ml.documents.document import (
    CONTENT_BYTES_MAX,
    Cause,
    Document,
    DocumentFailure,
    checked_length,
)
from tandemkit.ml.documents.plain import plain_document, table_document


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
    if kind == media.PDF:
        from tandemkit.ml.documents.pdf import pdf_document

        return pdf_document(content)
    if kind == media.HTML:
        from tandemkit.ml.documents.html import declared_charset, html_document

        text = decoded(content, charset or declared_charset(content))
        read = html_document(checked_length(text.text))
    else:
        text = decoded(content, charset)
        read = _of_text(checked_length(text.text), kind)
    return replace(read, encoding=text.encoding, replaced=text.replaced)


def _of_text(text: str, kind: str) -> Document:
    """Each reader is imported by who has such a file."""
    if kind == media.MARKDOWN:
        from tandemkit.ml.documents.markdown import markdown_document

        return markdown_document(text)
    if kind == media.PYTHON:
        from tandemkit.ml.documents.python_code import python_document

        return python_document(text)
    if kind == media.PROTO:
        from tandemkit.ml.documents.proto_code import proto_document

        return proto_document(text)
    if kind in media.GRAMMARS:
        from tandemkit.ml.documents.grammars import grammar_document

        return grammar_document(text, kind)
    if kind == media.CSV:
        return table_document(text, kind)
    return (indented_document if kind.startswith(media.CODE) else plain_document)(text, kind)
