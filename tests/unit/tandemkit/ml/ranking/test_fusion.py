"""Rankings become one."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.ml.ranking.fusion import fused

_RANKING = st.lists(st.integers(0, 20), unique=True)


def test_what_two_rankings_agree_on_comes_before_what_one_has_first() -> None:
    """The point of it: two second places outweigh a first one."""
    both = fused([["a", "b"], ["c", "b"]])
    assert [one.key for one in both] == ["b", "a", "c"]
    assert both[0].ranks == [2, 2]
    assert both[1].ranks == [1, 0]


def test_a_weight_decides_between_equals() -> None:
    """Whoever trusts one ranking more can say so."""
    assert [one.key for one in fused([["a"], ["b"]], weights=(1.0, 1.5))] == ["b", "a"]
    with pytest.raises(ValueError, match="as many weights"):
        fused([["a"]], weights=(1.0, 2.0))


def test_a_key_that_a_ranking_repeats_counts_once() -> None:
    """Or whoever repeats itself would win."""
    assert fused([["a", "b", "b", "b"]])[0].key == "a"


@given(st.lists(_RANKING, max_size=4))
def test_nothing_is_lost_and_a_better_place_never_hurts(rankings: list[list[int]]) -> None:
    """All keys come out once; whoever is before another in every ranking that has either is so in
    the end.
    """
    result = [one.key for one in fused(rankings)]
    assert sorted(result) == sorted({key for ranking in rankings for key in ranking})
    for better, worse in permutations(result, 2):
        if all(_is_before(r, better, worse) for r in rankings if worse in r):
            assert result.index(better) < result.index(worse)


def _is_before(ranking: list[int], better: int, worse: int) -> bool:
    return better in ranking and ranking.index(better) < ranking.index(worse)
