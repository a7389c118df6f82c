from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.ml.documents.chunking import Limits, chunks
from tandemkit.ml.documents.document import Cause, Document, DocumentFailure, Kind
from tandemkit.ml.documents.parsing import parsed
from tests.unit.tandemkit.ml.documents.holding import check

_TAGS = ["p", "div", "ul", "li", "table", "tr", "td", "pre", "h2", "b", "blockquote", "nav", "br"]
_PARTS = st.one_of(
    st.sampled_from([f"<{tag}>" for tag in _TAGS] + [f"</{tag}>" for tag in _TAGS]),
    st.sampled_from(["word ", "\n", "e\u0301", " \u0301", "&amp;", "&#x301;", "<!-- x -->"]),
)


def html(text: str) -> Document:
    return parsed(text.encode(), "text/html", "page.html")


def test_what_is_around_the_content_of_a_page_is_left_out() -> None:
    """Navigation, scripts and footers are on every page and answer nothing."""
    page = """<title>A page</title><nav>Home</nav><script>var x</script><style>p {}</style>
        <main><h1>Top</h1><p>The content.</p><p hidden>Gone</p></main><footer>Imprint</footer>"""
    document = html(page)
    assert document.title == "A page"
    assert document.text.split() == ["Top", "The", "content."]


def test_a_page_that_is_nothing_else_is_read_whole() -> None:
    """A page of links is found by them."""
    assert html("<nav><a href=x>The way</a></nav>").text.strip() == "The way"


def test_words_are_parted_where_a_reader_sees_them_parted() -> None:
    """Inline markup parts none, and blocks, cells and breaks always do."""
    page = "<p>a<b>b</b>c</p><p>d<br>e</p><table><tr><td>f<td>g<tr><td>h</table>x<div>y</div>"
    assert html(page).text.split() == ["abc", "d", "e", "f", "|", "g", "h", "x", "y"]


def test_tables_lists_and_code_stay_whole_and_know_where_to_be_cut() -> None:
    """They are blocks of their kinds, with a cut at each row and item but the first."""
    page = "<h2>H</h2><ul><li>a<li>b<ul><li>c</ul></ul><table><tr><td>1<tr><td>2</table>"
    blocks = html(page + "<pre>x\n  y</pre>").blocks
    assert [block.kind for block in blocks] == [Kind.HEADING, Kind.LIST, Kind.TABLE, Kind.CODE]
    assert [len(block.cuts) for block in blocks] == [0, 2, 1, 0]
    assert {block.headings for block in blocks} == {("H",)}


def test_code_keeps_its_lines() -> None:
    """Blanks mean something in preformatted text, and nowhere else."""
    assert "x\n  y" in html("<pre>x\n  y</pre><p>a\n   b</p>").text
    assert "a b" in html("<p>a\n   b</p>").text


def test_the_page_says_its_encoding() -> None:
    """What stands in its head is believed where it is not UTF-8."""
    page = '<meta charset="iso-8859-2"><p>Žluťoučký</p>'.encode("iso-8859-2")
    assert parsed(page, "", "a.html").text.strip() == "Žluťoučký"


@given(parts=st.lists(_PARTS, max_size=60).map("".join))
def test_any_markup_ends_in_chunks_that_cover_its_text(parts: str) -> None:
    """Tags in whatever order make a document."""
    check(html("<p>start</p>" + parts), Limits(2, 6, 12))


@pytest.mark.parametrize(
    "page",
    [
        "<b>" * 10_000 + "x",
        "<ul><li>" * 5_000 + "x",
        "<table><tr><td>" * 5_000 + "x",
        "<a " + "b=1 " * 100_000 + ">x",
        "<p>x" * 100_000,
        "<ul>" + "<li>x" * 100_000,
        "<table>" + "<tr><td>x" * 50_000,
        "<p>" + "&" * 200_000,
        "<a>" * 3_000 + "<p>" * 300 + "x",
        "<!--" * 50_000,
        "<p>x" + "<" * 200_000,
    ],
)
@pytest.mark.timeout(20)
def test_hostile_pages_end_in_bounded_time(page: str) -> None:
    """What is made to exhaust a parser is read, or refused."""
    try:
        chunks(html(page))
    except DocumentFailure as e:
        assert e.cause in {Cause.BROKEN, Cause.NO_TEXT}


def test_a_page_nested_without_end_is_refused_before_it_is_parsed() -> None:
    """The parser would look through all of it at each tag."""
    with pytest.raises(DocumentFailure) as caught:
        html("<div>" * 200_000)
    assert caught.value.cause == Cause.BROKEN
