from __future__ import annotations

import zlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader, PdfWriter

from tandemkit.ml.documents.chunking import Limits
from tandemkit.ml.documents.document import Cause, Document, DocumentFailure
from tandemkit.ml.documents.parsing import parsed
from tests.unit.tandemkit.ml.documents.holding import check
from tests.unit.tandemkit.ml.documents.portable import pdf, pdf_of

_PAGES = [
    ["Annual report", f"What stands on sheet {n} is hy-", "phenated here.", f"Page {n} of 4"]
    for n in range(1, 5)
]


def cause(content: bytes) -> Cause:
    with pytest.raises(DocumentFailure) as caught:
        parsed(content, "application/pdf")
    return caught.value.cause


def encrypted(password: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(BytesIO(pdf([["a secret"]]))))
    writer.encrypt(password, "owner", algorithm="RC4-128")
    written = BytesIO()
    writer.write(written)
    return written.getvalue()


def read(pages: list[list[str]]) -> Document:
    return parsed(pdf(pages), "", "a.pdf")


def test_a_page_is_known_for_each_chunk() -> None:
    """A hit can say on which page it stands."""
    document = read([[f"Words of page {n}. " * 6] * 9 for n in range(1, 4)])
    found = check(document, Limits(10, 60, 120))
    assert {chunk.page for chunk in found} == {1, 2, 3}
    assert all(f"page {chunk.page}" in chunk.text for chunk in found)


def test_what_is_printed_on_every_page_is_left_out() -> None:
    """Headers and page numbers do not answer questions."""
    text = read(_PAGES).text
    assert "Annual report" not in text
    assert "of 4" not in text
    assert "What stands on sheet 3" in text


def test_a_word_that_a_line_divides_is_one_word() -> None:
    """It is found by its own name."""
    assert "is hyphenated here." in read(_PAGES).text


def test_two_pages_keep_what_both_say() -> None:
    """What is on two pages may be what they are about."""
    assert read(_PAGES[:2]).text.count("Annual report") == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (encrypted("a password"), Cause.ENCRYPTED),
        (pdf([[], []]), Cause.NO_TEXT),
        (b"%PDF-1.7 and nothing else", Cause.BROKEN),
        (pdf([["words"]])[:200], Cause.BROKEN),
        (b"%PDF-1.7\n" + b"1 0 obj\n<<" * 20_000, Cause.BROKEN),
        (pdf_of([zlib.compress(bytes(200_000_000), 9)]), Cause.TOO_LARGE),
    ],
    ids=["encrypted", "scanned", "empty", "cut", "nested", "bomb"],
)
@pytest.mark.timeout(30)
def test_a_pdf_that_cannot_be_read_says_why(content: bytes, expected: Cause) -> None:
    """Each kind of unreadable file has a cause of its own."""
    assert cause(content) == expected


def test_a_pdf_that_asks_for_no_password_is_read() -> None:
    """Encryption with an empty password keeps nobody out."""
    assert "a secret" in parsed(encrypted(""), "application/pdf").text


@given(at=st.integers(0, 2000), said=st.binary(min_size=1, max_size=8))
def test_damage_ends_in_a_document_or_a_clear_failure(at: int, said: bytes) -> None:
    """Whatever bytes are wrong, nothing else comes out."""
    whole = pdf([["Some words."], ["More words."]])
    at %= len(whole)
    try:
        document = parsed(whole[:at] + said + whole[at + len(said) :], "application/pdf")
    except DocumentFailure:
        return
    check(document, Limits())
