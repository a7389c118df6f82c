"""What is packed into a context."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from services.memory.context_assembler.packing import Drop, Order, Packed, Weights, Wish, packed
from services.memory.context_assembler.windows import Candidate, Window, windows_of
from tandemkit.ml.text.sentences import sentences
from tandemkit.ml.text.tokens import cut_to_tokens, estimated_tokens
from tandemkit.ml.text.words import words
from tests.repo.checkout import root

DAY_S = 86_400.0


def wish(*texts: str, query: str, tokens_max: int = 60, window_tokens_max: int = 160) -> Wish:
    found = [Candidate(str(number), text, 0.0, None, False) for number, text in enumerate(texts)]
    order = Order.BEST_FIRST
    return Wish(query, found, tokens_max, Weights(), DAY_S, window_tokens_max, order, ())


def told(asked: Wish) -> list[str]:
    return [
        asked.candidates[part.window.candidate].text[part.window.start : part.window.end]
        for part in packed(asked).parts
    ]


def test_what_is_said_already_makes_room_for_what_is_not() -> None:
    """Five copies of the best passage are one passage."""
    texts = ["The pump leaks oil at the seal."] * 5 + ["A leak of the pump is closed by hand."]
    asked = wish(*texts, query="pump leak")
    assert len(told(asked)) == 2
    assert set(packed(asked).dropped.values()) == {Drop.SAID_ALREADY}


def test_a_pinned_candidate_is_told_whatever_the_query_is() -> None:
    """Instructions are not relevant to a question, and have to be there."""
    asked = wish("Answer in French.", "The pump leaks.", query="pump", tokens_max=20)
    pinned = replace(asked.candidates[0], is_pinned=True)
    assert "Answer in French." in told(replace(asked, candidates=[pinned, asked.candidates[1]]))


def test_of_a_long_candidate_the_windows_that_matter_are_told() -> None:
    """What stands between two of them stays out; those that follow each other are one."""
    filler = " ".join(f"Nothing of interest happens on day {day}." for day in range(60))
    text = f"{filler} The valve broke. The valve was replaced. {filler}"
    (window,) = told(wish(text, query="valve", tokens_max=80, window_tokens_max=20))
    assert "The valve broke. The valve was replaced." in window
    assert estimated_tokens(window) <= 80


_TEXT = st.text(alphabet="ab fish. ", min_size=1, max_size=60)
_CANDIDATE = st.builds(
    Candidate,
    name=st.just(""),
    text=_TEXT,
    score=st.floats(0, 1),
    age_s=st.none() | st.floats(-1e6, 1e9),
    is_pinned=st.booleans(),
)


@given(
    candidates=st.lists(_CANDIDATE, max_size=12),
    tokens_max=st.integers(1, 60),
    window_tokens_max=st.none() | st.integers(1, 20),
    query=_TEXT,
    order=st.sampled_from(Order),
    weights=st.builds(Weights, *(st.floats(0, 1) for _ in range(4))),
)
def test_a_context_fits_and_says_nothing_twice(
    candidates: list[Candidate],
    tokens_max: int,
    window_tokens_max: int | None,
    query: str,
    order: Order,
    weights: Weights,
) -> None:
    """Whatever is asked: within the room, no window twice, each candidate told or dropped, and the
    same again when what was told stands in `previous`.
    """
    asked = Wish(query, candidates, tokens_max, weights, DAY_S, window_tokens_max, order, ())
    made = packed(asked)
    assert _size(asked, made) <= tokens_max
    spans = [(one.window.candidate, one.window.start, one.window.end) for one in made.parts]
    for (candidate, start, _), (other, _, end) in zip(
        sorted(spans)[1:], sorted(spans), strict=False
    ):
        assert candidate != other or start >= end
    blank = {number for number, one in enumerate(candidates) if not one.text.strip()}
    accounted = {one.window.candidate for one in made.parts} | made.dropped.keys()
    assert accounted | blank >= set(range(len(candidates)))
    again = packed(replace(asked, previous=[one.window for one in made.parts]))
    kept = [one.window for one in again.parts if one.is_stable]
    assert kept == [one.window for one in again.parts][: len(kept)]


def _size(asked: Wish, made: Packed) -> int:
    texts = [asked.candidates[one.window.candidate].text for one in made.parts]
    return sum(
        estimated_tokens(f"[{number}] {text[one.window.start : one.window.end]}")
        for number, (one, text) in enumerate(zip(made.parts, texts, strict=True), start=1)
    )


@given(st.text(alphabet="ab. \nC", max_size=200), st.integers(1, 12))
def test_windows_leave_out_nothing_but_blanks(text: str, tokens_max: int) -> None:
    """They follow each other, and hold whole sentences."""
    end = 0
    for window in windows_of(0, text, tokens_max):
        assert not text[end : window.start].strip()
        end = window.end
    assert not text[end:].strip()


def test_m058_packed_context_beats_truncation_on_a_recall_benchmark() -> None:
    """Of a hundred questions to our own pages, the sentence that answers is there far more often
    than where the pages are told as they were found until the room is full.
    """
    draw = random.Random(20261122)
    pages = _pages()
    recalled = {"packed": 0, "truncated": 0}
    for _ in range(100):
        needle, query, found = _question(draw, pages)
        asked = wish(*found, query=query, tokens_max=300)
        recalled["packed"] += needle in " ".join(told(asked))
        recalled["truncated"] += needle in cut_to_tokens("\n\n".join(found), 300)
    assert recalled["packed"] >= 70
    assert recalled["packed"] >= recalled["truncated"] + 40


def _pages() -> list[str]:
    """Sections of docs/design, as one finds them."""
    texts = [path.read_text() for path in sorted(Path(root(), "docs/design").glob("*.md"))]
    sections = [one for text in texts for one in re.split(r"\n(?=## )", text)]
    return [one for one in sections if len(sentences(one)) > 4]


def _question(draw: random.Random, pages: list[str]) -> tuple[str, str, list[str]]:
    """A sentence, five of its longer words, and ten sections in which it is somewhere."""
    found = draw.sample(pages, 10)
    own = [one for one in sentences(draw.choice(found)) if 8 < len(words(one)) < 40]
    if not own:
        return _question(draw, pages)
    needle = draw.choice(own)
    telling = sorted({one for one in words(needle) if len(one) > 4})
    return needle, " ".join(draw.sample(telling, min(5, len(telling)))), found


def test_a_window_may_be_longer_than_what_fits() -> None:
    """A sentence is not cut: it is left out, and said to be."""
    asked = wish("fish " * 50, query="fish", tokens_max=10, window_tokens_max=5)
    assert packed(asked) == Packed([], {0: Drop.NO_ROOM})
    assert list(windows_of(0, "", 5)) == [Window(0, 0, 0)]
