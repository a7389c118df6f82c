from __future__ import annotations

import pytest

from tandemkit.ml.documents.chunking import chunks
from tandemkit.ml.documents.document import CONTENT_BYTES_MAX, Cause, DocumentFailure
from tandemkit.ml.documents.media import media_type
from tandemkit.ml.documents.parsing import parsed


def cause(content: bytes, told: str = "", uri: str = "") -> Cause:
    with pytest.raises(DocumentFailure) as caught:
        parsed(content, told, uri)
    return caught.value.cause


@pytest.mark.parametrize(
    ("content", "told", "uri", "expected"),
    [
        (b"x", "", "docs/a.md", "text/markdown"),
        (b"x", "application/octet-stream", "https://x.example/a.py?raw=1", "text/x-python"),
        (b"x", "text/html; charset=latin1", "a.md", "text/html"),
        (b"\n<!-- a --><!DOCTYPE html><p>x", "", "page", "text/html"),
        (b"%PDF-1.7", "", "scan.txt", "application/pdf"),
        (b"x", "application/json", "", "text/x-json"),
        (b"x", "", "", "text/plain"),
    ],
)
def test_the_type_is_what_is_told_else_what_name_and_content_say(
    content: bytes, told: str, uri: str, expected: str
) -> None:
    """A file with no type or a silent one is known by its suffix, or by how it starts."""
    assert media_type(content, told, uri) == expected


@pytest.mark.parametrize(
    ("content", "told", "text", "encoding"),
    [
        ("Größe".encode(), "", "Größe", "utf-8"),
        ("Größe".encode("utf-8-sig"), "", "Größe", "utf-8"),
        ("Größe".encode("utf-16"), "", "Größe", "utf-16-le"),
        ("Größe".encode("cp1252"), "", "Größe", "cp1252"),
        ("день".encode("koi8-r"), "text/plain; charset=KOI8-R", "день", "koi8-r"),
        ("Größe".encode("utf-16-be"), "text/plain; charset=utf-16-be", "Größe", "utf-16-be"),
        ("Größe".encode("cp1252"), "text/plain; charset=punycode", "Größe", "cp1252"),
        ("Größe".encode("cp1252"), "text/plain; charset=utf-16x", "Größe", "cp1252"),
        ("Größe".encode("cp1252"), "text/plain; charset=hex", "Größe", "cp1252"),
        (b"a\r\nb\rc\0" + b"d" * 2000, "", "a\nb\nc\ufffd" + "d" * 2000, "utf-8"),
        ("Größe".encode() * 9 + b"\xff", "", "Größe" * 9 + "\ufffd", "utf-8"),
    ],
)
def test_bytes_become_text_by_rules_that_are_told(
    content: bytes, told: str, text: str, encoding: str
) -> None:
    """Marks, UTF-8, the charset that was told and Windows-1252 are tried in this order."""
    document = parsed(content, told)
    assert (document.text, document.encoding) == (text, encoding)
    assert document.replaced == text.count("\ufffd")


@pytest.mark.parametrize(
    ("content", "told", "uri", "expected"),
    [
        (b"", "", "a.md", Cause.NO_TEXT),
        (b" \n\t\n", "", "a.txt", Cause.NO_TEXT),
        (b"text\0\0\0more", "", "a.txt", Cause.NOT_TEXT),
        (b"PK\x03\x04....", "", "a", Cause.UNKNOWN_TYPE),
        (b"x", "image/png", "a.md", Cause.UNKNOWN_TYPE),
        (bytes(CONTENT_BYTES_MAX + 1), "", "a.md", Cause.TOO_LARGE),
        (b"x" * 40_000_001, "", "a.md", Cause.TOO_LARGE),
    ],
)
def test_what_is_no_document_is_refused_with_its_cause(
    content: bytes, told: str, uri: str, expected: Cause
) -> None:
    """Each file that cannot be read says in which way."""
    assert cause(content, told, uri) == expected


@pytest.mark.parametrize(
    "text",
    [
        "- " * 10_000 + "deep",
        "".join("  " * depth + "- x\n" for depth in range(500)),
        ">" * 10_000 + " deep",
        "[" * 50_000,
        "[a]: /x\n" * 20_000,
        "<div>\n" * 20_000,
        "<!---->" * 2_000,
        "title:x" + " " * 100_000 + "x",
        "---\ntitle:x" + " " * 100_000 + "x\n---\nx",
        "a" * 1_000_000,
        "e" + "\u0301" * 100_000,
        "." * 100_000,
        '."' * 50_000,
        "\u202eright to left\u202c " * 5_000,
        "\n \n" * 100_000 + "x",
    ],
)
@pytest.mark.parametrize("name", ["a.md", "a.txt", "a"])
@pytest.mark.timeout(20)
def test_hostile_text_ends_in_chunks_and_in_bounded_time(name: str, text: str) -> None:
    """What is made to exhaust a parser is read as the text that it is."""
    document = parsed(text.encode(), "", name)
    assert "".join("".join(chunk.text for chunk in chunks(document)).split()) == "".join(
        text.split()
    )
