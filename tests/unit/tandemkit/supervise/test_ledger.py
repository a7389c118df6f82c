"""Catalogue row M019: a pool that is full refuses, and the reserve helps in an emergency."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.supervise.ledger import Ledger, PoolExhausted

_SIZES = {"standard": 512, "critical": 256, "emergency_reserve": 100}


def ledger() -> Ledger:
    return Ledger(_SIZES, reserve="emergency_reserve")


def test_m019_a_full_pool_refuses_and_then_the_reserve_is_used() -> None:
    """The refusal has the numbers; an emergency takes the rest from the reserve, and no more."""
    books = ledger()
    books.grant("a", {"standard": 500})
    with pytest.raises(PoolExhausted, match=r"`standard` has 12 of 512 MiB left.* 52 too many"):
        books.grant("b", {"standard": 64})
    books.grant("b", {"standard": 64}, emergency=True)
    assert books.free("standard") == 0
    assert books.free("emergency_reserve") == 48
    with pytest.raises(PoolExhausted, match="`emergency_reserve` has 48 of 100"):
        books.grant("c", {"standard": 64}, emergency=True)


def test_nothing_is_given_where_not_all_is_there() -> None:
    """Half a grant would be held by an agent that never starts."""
    books = ledger()
    with pytest.raises(PoolExhausted):
        books.grant("a", {"standard": 10, "critical": 1000})
    assert books.grants() == ()


def test_the_reserve_is_for_emergencies_alone() -> None:
    """Nobody plans with it."""
    with pytest.raises(PoolExhausted, match="emergency_reserve"):
        ledger().grant("a", {"emergency_reserve": 1})


def test_a_release_gives_everything_back() -> None:
    """Of every pool, the reserve too."""
    books = ledger()
    books.grant("a", {"standard": 600, "critical": 5}, emergency=True)
    books.release("a")
    assert {pool: books.free(pool) for pool in _SIZES} == _SIZES


_ASKS = st.tuples(
    st.sampled_from("abc"),
    st.dictionaries(st.sampled_from([*_SIZES, "nowhere"]), st.integers(0, 400)),
    st.booleans(),
)


@given(st.lists(_ASKS))
def test_no_pool_is_ever_given_twice(asks: list[tuple[str, dict[str, int], bool]]) -> None:
    """Whatever is asked, in whatever order."""
    books = ledger()
    for holder, wanted, emergency in asks:
        before = books.grants()
        try:
            books.grant(holder, wanted, emergency=emergency)
        except PoolExhausted:
            assert books.grants() == before
        assert all(books.free(pool) >= 0 for pool in _SIZES)
