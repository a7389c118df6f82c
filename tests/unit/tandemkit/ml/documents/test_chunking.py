from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.ml.documents.chunking import Limits, chunks, context_of
from tandemkit.ml.documents.document import Document, Kind
from tandemkit.ml.documents.parsing import parsed
from tests.unit.tandemkit.ml.documents.holding import check

_PIECES = st.sampled_from(
    [
        "# One\n",
        "## Two\n\n",
        "Setext\n===\n",
        "Some words. More of them, and more!\n",
        "\n",
        "   ",
        "- an item\n",
        "  - a deeper one\n",
        "1. first\n",
        "> quoted\n",
        "| a | b |\n| - | - |\n| 1 | 2 |\n",
        "```python\nx = 1\n\ny = 2\n```\n",
        "```\n",
        "[a]: /target\n",
        "---\n",
        "<div>\n",
        "e\u0301 \u0301",
        "\u0600 1",
        "👩‍👩‍👧🇩🇪",
        "漢字かな。",
        "שלום עולם\n",
        "\u2028",
        "\t",
    ]
)
_CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
_TEXTS = st.one_of(st.lists(_PIECES, max_size=40).map("".join), st.text(_CHARACTERS, max_size=400))
_LIMITS = st.tuples(st.integers(1, 8), st.integers(0, 20), st.integers(0, 8)).map(
    lambda one: Limits(one[0], one[0] + one[1], sum(one))
)


def markdown(text: str) -> Document:
    return parsed(text.encode(), "text/markdown", "page.md")


@pytest.mark.parametrize("media_type", ["text/markdown", "text/plain"])
@given(text=_TEXTS.filter(str.strip), limits=_LIMITS)
def test_chunks_cover_each_text_in_order_and_within_limits(
    media_type: str, text: str, limits: Limits
) -> None:
    """Whatever is written, all that is not blank stands in one chunk, and no letter is cut."""
    check(parsed(text.encode(), media_type, "page"), limits)


def test_a_chunk_bears_the_path_of_its_section() -> None:
    """The headings above a passage go with it, without their markup."""
    found = check(
        markdown("# Top\n\n## The `code` of [it](x.md)\n\n" + "Words stand here. " * 30), Limits()
    )
    assert [chunk.headings for chunk in found] == [("Top", "The code of it")]


@pytest.mark.parametrize(
    ("block", "kind"),
    [
        ("| a | b |\n| - | - |\n" + "| some | words |\n" * 12, Kind.TABLE),
        ("- an item of a list\n" * 20, Kind.LIST),
        ("```\n" + "a line of code\n\n" * 20 + "```\n", Kind.CODE),
    ],
)
def test_what_belongs_together_is_not_cut(block: str, kind: Kind) -> None:
    """A table, a list or a fenced block that fits into one chunk stands in one."""
    document = markdown("Before it are words. " * 20 + "\n\n" + block + "\nAfter it.\n")
    found = check(document, Limits(10, 120, 200))
    assert [chunk.kind for chunk in found if block.strip() in chunk.text] == [kind]


def test_a_list_that_is_too_long_is_cut_between_its_items() -> None:
    """An item stays whole as long as it fits."""
    item = "- one sentence. Another one, of the same item.\n"
    found = check(markdown(item * 30), Limits(10, 40, 60))
    assert len(found) > 5
    assert all(chunk.text.startswith("- one") for chunk in found)
    assert all(chunk.text.endswith("same item.") for chunk in found)


def test_small_sections_share_a_chunk_and_what_their_paths_share() -> None:
    """A page of many short sections does not become as many scraps."""
    found = check(markdown("# Top\n\n" + "## Sub\n\nFew words.\n\n" * 4), Limits())
    assert [chunk.headings for chunk in found] == [("Top",)] or len(found) == 1


def test_a_heading_stands_with_what_it_heads() -> None:
    """No chunk ends in a heading whose text is in the next."""
    page = "".join(f"## Heading {n}\n\n{'Some words here. ' * 25}\n\n" for n in range(5))
    found = check(markdown(page), Limits())
    assert [chunk.text.split("\n")[0] for chunk in found] == [f"## Heading {n}" for n in range(5)]


def test_the_context_names_each_part_of_the_path_once() -> None:
    """A title that is the first heading too is not said twice."""
    document = markdown("# State\n\n## In an agent\n\n" + "Words. " * 90)
    assert context_of(document, chunks(document)[0]) == "State > In an agent"


def test_the_context_tells_how_the_document_begins_and_repeats_nothing() -> None:
    """A later passage is found by what its page is about; the first one says that itself."""
    lead = "What an agent must still know after it died."
    document = markdown(f"# State\n\n{lead}\n\n## B\n\n" + "More words. " * 99)
    first, *_rest, last = chunks(document)
    assert context_of(document, first) == "State"
    assert context_of(document, last) == f"State > B\n{lead}"


def test_sections_span_what_stands_below_their_heading() -> None:
    """An outer section holds its inner ones, and ends where the next of its level starts."""
    document = markdown("# A\n\n## B\n\ntext\n\n## C\n\nmore\n")
    spans = {
        one.headings: document.text[one.start_char : one.end_char] for one in document.sections
    }
    assert spans["A",] == document.text
    assert spans["A", "B"] == "## B\n\ntext\n\n"
    assert spans["A", "C"] == "## C\n\nmore\n"


def test_front_matter_is_no_heading_and_names_the_page() -> None:
    """The block between two rules at the top is kept apart, and its title is the document's."""
    document = markdown('---\ntitle: "A page"\ntags: x\n---\n# Other\n\nText.\n')
    assert (document.title, document.blocks[0].kind) == ("A page", Kind.FRONT_MATTER)


def test_a_page_that_begins_with_a_rule_has_no_front_matter() -> None:
    """What stands between two rules is text, unless it begins as metadata do."""
    assert markdown("---\n\nText: x\n\n---\n").blocks[0].kind == Kind.PROSE


def test_documents_and_chunks_cross_processes() -> None:
    """What a worker makes, its caller gets."""
    document = markdown("# A\n\ntext\n")
    assert pickle.loads(pickle.dumps((document, chunks(document)))) == (document, chunks(document))


def test_limits_that_contradict_each_other_are_refused() -> None:
    """A target above the maximum is an error of who sets it, said at once."""
    with pytest.raises(ValueError, match="order"):
        Limits(10, 50, 40)
