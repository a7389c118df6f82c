"""The text core, by its properties."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.utility.toolbox.limits import MIB
from services.utility.toolbox.text import differences, layout, likeness, segments, spelling
from services.utility.toolbox.text.spelling import Spelling, Whitespace
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

SPELLINGS = st.builds(
    Spelling,
    form=st.sampled_from([None, "NFC", "NFD", "NFKC", "NFKD"]),
    line_ending=st.sampled_from([None, "\n", "\r\n"]),
    whitespace=st.sampled_from(Whitespace),
    case_fold=st.booleans(),
)
# Text with the characters that make layout hard, more often than chance would have them.
ODD_TEXT = st.text(
    st.one_of(
        st.sampled_from("a b\t\r\n.!?é\u0301\u200d🇩🇪👩🏽\u00a0İßﬁ "), st.characters(codec="utf-8")
    )
)
LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "\n", "long line\n"]), max_size=12)


@given(ODD_TEXT, SPELLINGS)
def test_a_second_normalisation_changes_nothing(text: str, wanted: Spelling) -> None:
    """A normal form is one that stays."""
    once = spelling.normalize(text, wanted)
    assert spelling.normalize(once, wanted) == once


@given(ODD_TEXT)
def test_the_default_spelling_leaves_a_text_alone(text: str) -> None:
    """What nobody asked for does not happen."""
    assert spelling.normalize(text, Spelling()) == text


@given(ODD_TEXT, st.sampled_from(["NFC", "NFKC"]))
def test_texts_that_mean_the_same_get_one_spelling(text: str, form: spelling.UnicodeForm) -> None:
    """The decomposed and the composed spelling end up equal."""
    wanted = Spelling(form=form, case_fold=True)
    other = unicodedata.normalize("NFD", text)
    assert spelling.normalize(text, wanted) == spelling.normalize(other, wanted)


@given(ODD_TEXT, st.sampled_from("-_."), st.integers(1, 30), st.booleans())
def test_a_slug_is_its_own_slug(text: str, gap: str, most: int, keep: bool) -> None:
    """A slug survives being made a slug of, fits its limit, and has no separator at its ends."""
    slug = spelling.slugify(text, separator=gap, code_points_max=most, keep_unicode=keep)
    again = spelling.slugify(slug, separator=gap, code_points_max=most, keep_unicode=keep)
    assert again == slug
    assert len(slug) <= most
    assert slug.strip(gap) == slug
    assert keep or slug.isascii()


def test_slugs_are_what_people_expect() -> None:
    """Accents go, words stay, and other scripts stay where that is asked for."""

    def slug(text: str, *, keep_unicode: bool = False) -> str:
        return spelling.slugify(text, separator="-", code_points_max=20, keep_unicode=keep_unicode)

    assert slug("Crème Brûlée & Co.") == "creme-brulee-co"
    assert slug("Привет, мир!", keep_unicode=True) == "привет-мир"
    assert slug("one two three four five") == "one-two-three-four"


@given(ODD_TEXT)
def test_graphemes_put_together_are_the_text(text: str) -> None:
    """Nothing is lost between two graphemes."""
    assert "".join(segments.graphemes(text)) == text


@pytest.mark.parametrize(
    ("text", "graphemes", "words", "lines", "sentences"),
    [
        ("", 0, 0, 0, 0),
        ("e\u0301👨‍👩‍👧🇩🇪🇫🇷", 4, 1, 1, 1),
        ("I can't. Really?! Yes…\r\nOk", 25, 5, 2, 4),
        ("3.14 is pi\n\nno more", 19, 5, 3, 2),
        ("你好。再见！", 6, 4, 1, 2),
    ],
)
def test_counts_follow_unicode(
    text: str, graphemes: int, words: int, lines: int, sentences: int
) -> None:
    """Counts are those of a reader, not of code points."""
    counts = segments.count(text)
    assert (counts.graphemes, counts.words, counts.lines, counts.sentences) == (
        graphemes,
        words,
        lines,
        sentences,
    )


@pytest.mark.timeout(10)
@pytest.mark.parametrize("unit", ["🇩", "a\u0301", "\u200d", "👩\u200d", ".", '."', "a'", " ", "\n"])
def test_no_repeated_character_makes_counting_slow(unit: str) -> None:
    """Flags alone once cost the square of their number: 100,000 of them took 20 seconds."""
    text = unit * 100_000
    assert segments.count(text).code_points == len(text)


@given(ODD_TEXT, st.integers(1, 12), st.integers(0, 5), st.booleans())
def test_wrapped_lines_keep_all_words_and_their_width(
    text: str, width: int, indent: int, keep: bool
) -> None:
    """Wrapping moves white space only, and no line is too wide unless a long word was to stay."""
    indent = min(indent, width - 1)
    lines = layout.wrap(text, layout.Layout(width, indent, keep), bytes_max=MIB)
    assert "".join("".join(lines).split()) == "".join(text.split())
    if not keep and text.isascii():
        assert all(len(segments.graphemes(line)) <= width for line in lines)


@given(ODD_TEXT, st.integers(0, 20), st.sampled_from(["", "…", "..."]), st.booleans())
def test_a_truncated_text_fits_and_begins_as_before(
    text: str, most: int, ellipsis: str, at_word: bool
) -> None:
    """The result fits, is cut between graphemes, and is untouched where nothing had to go."""
    result, cut = layout.truncate(text, graphemes_max=most, ellipsis=ellipsis, at_word=at_word)
    clusters = segments.graphemes(text)
    assert cut == (len(clusters) > most)
    if not cut:
        assert result == text
        return
    kept = result.removesuffix(ellipsis) if len(ellipsis) <= most else result
    assert text.startswith(kept)
    starts = {"".join(clusters[:count]).rstrip() for count in range(most + 1)}
    assert kept in starts or at_word


def test_truncation_at_words_keeps_whole_words() -> None:
    """A word that does not fit goes whole, unless it is the first."""
    short = layout.truncate("one two three", graphemes_max=10, ellipsis="…", at_word=True)
    assert short == ("one two…", True)
    single = layout.truncate("unbreakable", graphemes_max=4, ellipsis="…", at_word=True)
    assert single == ("unb…", True)


@given(ODD_TEXT, ODD_TEXT, st.sampled_from(likeness.Measure))
def test_similarity_is_a_fair_number(left: str, right: str, measure: likeness.Measure) -> None:
    """It lies between 0 and 1, is 1 for equal texts, and does not care which comes first."""
    there = likeness.similarity(left, right, measure)
    assert 0 <= there <= 1
    assert likeness.similarity(left, left, measure) == 1
    assert there == pytest.approx(likeness.similarity(right, left, measure))


def test_measures_differ_where_the_contract_says_so() -> None:
    """A swap is one edit for Damerau and two for Levenshtein; word measures ignore the order."""
    like = likeness.similarity
    assert like("ab", "ba", likeness.Measure.LEVENSHTEIN) == 0
    assert like("ab", "ba", likeness.Measure.DAMERAU_LEVENSHTEIN) == 0.5
    assert like("new york", "york new", likeness.Measure.SORTED_WORDS) == 1
    assert like("new york", "york new new", likeness.Measure.WORD_SET) == 1


def patched(before: str, unified: str) -> str:
    """Applies a unified diff, as `patch` would: an oracle that shares no code with the differ."""
    source = before.splitlines(keepends=True)
    result: list[str] = []
    position = 0
    for line in unified.splitlines(keepends=True)[2:]:
        mark, rest = line[0], line[1:]
        if mark == "@":
            span = line.split()[1][1:].split(",")
            start = int(span[0]) - (0 if span[1:] == ["0"] else 1)
            result += source[position:start]
            position = start
        elif mark == "\\":
            result[-1:] = [result[-1].removesuffix("\n")] if result else []
        elif mark == "+":
            result.append(rest)
        else:
            position += 1
            if mark == " ":
                result.append(rest)
    return "".join(result + source[position:])


@given(LINES, LINES, st.integers(0, 3))
def test_a_diff_turns_the_one_text_into_the_other(
    before: list[str], after: list[str], context_lines: int
) -> None:
    """What a diff says is what has to be done, whatever the context."""
    old, new = "".join(before), "".join(after)
    options = differences.DiffOptions(context_lines=context_lines)
    found = differences.difference(old, new, options)
    assert patched(old, found.unified) == new if found.unified else old == new
    assert len(after) - len(before) == found.lines_added - found.lines_removed


def test_a_diff_names_a_missing_last_line_end() -> None:
    """A change of the last line end alone is a change, and is written as diff writes it."""
    found = differences.difference("a\nb", "a\nb\n", differences.DiffOptions())
    assert found.unified == (
        "--- before\n+++ after\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n"
    )


@pytest.mark.timeout(20)
def test_a_diff_of_hostile_lines_stays_affordable() -> None:
    """Few different lines in ever other order are what makes the usual heuristics cubic."""
    before = "".join(f"{number % 53}\n" for number in range(10_000))
    after = "".join(f"{number * 7 % 53}\n" for number in range(10_000))
    assert differences.difference(before, after, differences.DiffOptions()).lines_added > 0


def test_an_indent_cannot_make_much_of_little() -> None:
    """One letter a line behind a wide indent is a hundred times the text."""
    with pytest.raises(CallerError) as refused:
        layout.wrap("a" * 50_000, layout.Layout(101, 100), bytes_max=MIB)
    assert refused.value.reason == errors.ERROR_REASON_TOO_LARGE


@pytest.mark.timeout(10)
def test_a_letter_with_endless_marks_is_refused() -> None:
    """Sorting them costs the square of their number: half a million took minutes."""
    with pytest.raises(CallerError) as refused:
        spelling.normalize("a" + "\u0301\u0327" * 250_000, Spelling(form="NFD"))
    assert refused.value.reason == errors.ERROR_REASON_TOO_LARGE
    longest = ("a" + "\u0301\u0327" * 128) * 1_000
    assert spelling.normalize(longest, Spelling(form="NFD")) != longest
