"""TextRank: what a text says most."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.ml.ranking import textrank
from tandemkit.ml.text.words import words

STORY = (
    "The harbour of the town was frozen in January",
    "Ships could not leave the frozen harbour",
    "My uncle likes soup",
    "The town sent for an icebreaker to free the ships in the harbour",
    "It rained in Lisbon",
)
BAGS = [words(one) for one in STORY]
BAG = st.lists(st.sampled_from("abcdefgh"), max_size=6)


@given(bags=st.lists(BAG, min_size=1, max_size=30))
def test_ranks_are_a_share_of_one(bags: list[list[str]]) -> None:
    """However the sentences are linked, or not at all."""
    found = textrank.ranks(bags)
    assert sum(found) == pytest.approx(1.0)
    assert min(found) > 0


def test_what_the_others_say_too_ranks_first() -> None:
    """And what nobody else mentions last."""
    found = textrank.ranks(BAGS)
    assert sorted(range(len(STORY)), key=lambda one: -found[one])[:3] == [0, 3, 1]
    assert min(found) == found[2]


def test_a_summary_fits_and_keeps_the_order_of_the_text() -> None:
    """The most central sentences for which there is room."""
    sizes = [len(bag) for bag in BAGS]
    assert textrank.best(BAGS, sizes, sizes[0] + sizes[3]) == [0, 3]
    assert textrank.best(BAGS, sizes, 3) == []
    assert textrank.best([], [], 100) == []


def test_a_summary_does_not_repeat_itself() -> None:
    """Of sentences with nearly the same words one is enough."""
    bags = [*BAGS[:2], [*BAGS[0], "again"], *BAGS[2:]]
    assert {0, 2} > set(textrank.best(bags, [1] * len(bags), 2)) & {0, 2}


def test_more_than_can_be_ranked_is_refused() -> None:
    """Its time would go with the square."""
    with pytest.raises(ValueError, match="more sentences"):
        textrank.ranks([["a"]] * (textrank.SENTENCES_MAX + 1))


def test_every_process_finds_the_same_ranks() -> None:
    """To the last bit, although hashes of words differ."""
    source = f"from tandemkit.ml.ranking.textrank import ranks; print(ranks({BAGS!r}))"
    said = {
        subprocess.run(
            (sys.executable, "-c", source),
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
