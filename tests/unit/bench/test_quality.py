"""The yardstick of retrieval: what it counts, and what its questions are made of."""

from __future__ import annotations

import pytest

from tandemkit.ml.documents.chunking import chunks
from tests.bench.quality.labels import Half, LabelledSet, Place, Question, half_of, judged
from tests.bench.quality.measures import interval, ndcg, recall, reciprocal_rank
from tests.bench.quality.own_documents import own_documents, slug
from tests.bench.quality.references import Passage, Reference, questions
from tests.repo.checkout import root

_TARGET = Place("b.md", 0, 100)
_SAID = "Leases that nobody renews are gone after their term, as the registry promises."


@pytest.fixture(scope="module")
def docs() -> LabelledSet:
    return own_documents(root())


@pytest.mark.parametrize(
    ("ranked", "expected"),
    [
        ([1, 2, 3], (1.0, 1.0, 1.0)),
        ([9, 1, 9, 2], ((1 / 1.58496 + 1 / 2.32193) / (1 + 1 / 1.58496), 1.0, 0.5)),
        ([9] * 10 + [1, 2], (0.0, 0.0, 0.0)),
        ([], (0.0, 0.0, 0.0)),
    ],
)
def test_a_ranking_is_worth_what_its_first_ten_hold(
    ranked: list[int], expected: tuple[float, float, float]
) -> None:
    """Gain falls with the logarithm of the place, and nothing counts beyond the tenth."""
    found = tuple(measure(ranked, {1, 2}) for measure in (ndcg, recall, reciprocal_rank))
    assert found == pytest.approx(expected, abs=1e-5)


def test_an_interval_tells_a_difference_from_noise() -> None:
    """One that is there on most questions lies above zero; one that goes both ways does not."""
    assert interval([0.2, 0.1, 0.3, 0.0, 0.2] * 20).low > 0
    assert interval([0.5, -0.5] * 50).low < 0 < interval([0.5, -0.5] * 50).high


def _asked(text: str, *said: str) -> list[Question]:
    references = tuple(
        Reference(text.index(one), text.index(one) + len(one), _TARGET) for one in said
    )
    return questions([Passage("a.md", text, tuple(range(len(text) + 1)), references)])


def test_a_question_is_the_sentence_around_a_reference() -> None:
    """Neither what stands before it nor what stands behind it is asked for."""
    (question,) = _asked(f"Before. {_SAID} Behind it there is more.", "the registry")
    assert question.text.startswith("Leases that nobody renews are gone after their term")
    assert (question.answer, question.asked.start_char) == (_TARGET, len("Before. "))


def test_sentences_that_say_too_little_are_no_questions() -> None:
    """Stock words around a name are a pointer, and nobody asks them."""
    assert _asked("See also the registry.", "the registry") == []


def test_of_one_target_at_most_six_are_asked() -> None:
    """No page decides the figures because many pages link to it."""
    text = " ".join(f"Number {n} keeps seven leases of distant hosts here." for n in range(9))
    assert len(_asked(text, *(f"Number {n}" for n in range(9)))) == 6


def test_anchors_are_those_of_sites_that_show_markdown() -> None:
    """Signs go, blanks become hyphens, and a second of a name gets a number."""
    seen: set[str] = set()
    assert [slug(one, seen) for one in ("What `a`, b?", "What a b", "x_y")] == [
        "what-a-b",
        "what-a-b-1",
        "x_y",
    ]


def test_every_question_of_the_repository_has_an_answer_and_bars_who_asks(
    docs: LabelledSet,
) -> None:
    """What is relevant is there, and the passage that asks is never it."""
    parts = [(name, one) for name, document in docs.documents.items() for one in chunks(document)]
    found = [judged(question, parts) for question in docs.questions]
    assert all(one.relevant and one.barred for one in found)
    assert not any(one.relevant & one.barred for one in found)


def test_there_are_enough_questions_and_both_halves_have_theirs(docs: LabelledSet) -> None:
    """Fewer than two hundred of them would tell nothing."""
    halves = [one.half for one in docs.questions]
    assert len(halves) > 200
    assert 0.4 < halves.count(Half.TUNING) / len(halves) < 0.6


def test_a_question_stays_in_its_half() -> None:
    """What is added or changed elsewhere moves none from choices to figures."""
    assert half_of(_SAID) == half_of(_SAID)
    assert {half_of(f"{_SAID} {n}") for n in range(20)} == {Half.TUNING, Half.HELD_OUT}
