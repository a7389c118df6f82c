from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.rpc.paging import TokenInvalid, page_of

NAMES = st.lists(st.text(max_size=8), unique=True, max_size=30).map(sorted)


@given(names=NAMES, size=st.integers(1, 7))
def test_pages_joined_are_the_listing(names: list[str], size: int) -> None:
    """Nothing is shown twice, nothing is left out, and only the last page has no token."""
    shown: list[str] = []
    token = ""
    while True:
        page = page_of(names, scope="all", token=token, size=size)
        shown += page.names
        token = page.next_token
        if not token:
            break
        assert len(page.names) == size
    assert shown == names


def test_a_token_stays_right_when_its_name_is_gone() -> None:
    """The next page begins where the last one would have ended."""
    token = page_of(["a", "b", "c"], scope="all", token="", size=2).next_token
    assert page_of(["a", "aa", "c"], scope="all", token=token, size=2).names == ["c"]


@given(token=st.text(min_size=1, max_size=40))
def test_what_is_no_token_is_refused(token: str) -> None:
    """Whatever a caller makes up."""
    with pytest.raises(TokenInvalid):
        page_of(["a", "b"], scope="all", token=token, size=1)


def test_a_token_of_another_listing_is_refused() -> None:
    """It would skip names that the caller has not seen."""
    token = page_of(["a", "b"], scope="one", token="", size=1).next_token
    with pytest.raises(TokenInvalid):
        page_of(["a", "b"], scope="other", token=token, size=1)
