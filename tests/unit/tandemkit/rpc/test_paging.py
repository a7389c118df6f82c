from __future__ import annotations

import pytest
from google.protobuf.wrappers_pb2 import BytesValue
from hypothesis import given, settings
from hypothesis import strategies as st

from tandemkit.rpc.paging import PAGE_BYTES_MAX, TokenInvalid, fitting_page, name_in, page_of

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


@given(sizes=st.lists(st.integers(0, 2 * PAGE_BYTES_MAX), max_size=8))
@settings(max_examples=30)
def test_pages_of_long_messages_joined_are_the_listing(sizes: list[int]) -> None:
    """None is larger than a message may be, unless it has one alone."""
    left = [(f"{number}", BytesValue(value=bytes(size))) for number, size in enumerate(sizes)]
    shown: list[int] = []
    while left:
        told, token = fitting_page(left, "", "all")
        assert len(told) == 1 or sum(one.ByteSize() for one in told) <= PAGE_BYTES_MAX
        shown += [len(one.value) for one in told]
        assert bool(token) == (len(told) < len(left))
        if token:
            assert name_in(token, "all") == left[len(told) - 1][0]
        left = left[len(told) :]
    assert shown == sizes
