"""Settings and page tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.utility.toolbox.limits import Limits, refuse_above
from services.utility.toolbox.paging import page_of
from tandem.utility.config.v1 import toolbox_pb2 as cfg
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

NAMES = st.sets(st.text(max_size=5)).map(sorted)


def test_every_setting_is_a_limit_with_a_default() -> None:
    """A setting without a default, or a default without a setting, would be one nobody can use."""
    settings = {field.name for field in cfg.ToolboxSettings.DESCRIPTOR.fields}
    assert settings == set(Limits.__dataclass_fields__)


def test_what_is_set_replaces_the_default_and_nothing_else() -> None:
    """0 is the default's own spelling."""
    limits = Limits.of(cfg.ToolboxSettings(text_bytes_max=5, diff_lines_max=0))
    assert limits == Limits(text_bytes_max=5)


def test_a_limit_may_be_reached_but_not_passed() -> None:
    """The refusal names field, amount and limit."""
    refuse_above(3, 3, "text")
    with pytest.raises(CallerError) as refused:
        refuse_above(3, 4, "text", unit="lines")
    assert refused.value.reason == errors.ERROR_REASON_TOO_LARGE
    assert refused.value.metadata == {"lines": "4", "lines_max": "3"}


@given(NAMES, st.integers(1, 7))
def test_pages_put_together_are_the_whole(names: list[str], size: int) -> None:
    """Each name is on one page, and only the last page has no token."""
    found: list[str] = []
    token = ""
    for _ in range(len(names) + 1):
        page = page_of(names, scope="s", token=token, size=size)
        found += page.names
        token = page.next_token
        if not token:
            break
        assert len(page.names) == size
    assert found == names


@given(NAMES.filter(lambda names: len(names) > 2), st.text(max_size=3))
def test_a_page_token_survives_new_names(names: list[str], new: str) -> None:
    """It says after which name to go on, not at which place."""
    first = page_of(names, scope="s", token="", size=1)
    grown = sorted({*names, new})
    second = page_of(grown, scope="s", token=first.next_token, size=len(grown))
    assert list(second.names) == [name for name in grown if name > names[0]]


@given(st.text(max_size=20))
def test_a_token_of_nobody_s_making_is_refused(token: str) -> None:
    """Including one that was made for another listing."""
    other = page_of(["a", "b"], scope="other", token="", size=1).next_token
    for forged in (token or "x", other):
        with pytest.raises(CallerError) as refused:
            page_of(["a", "b"], scope="s", token=forged, size=1)
        assert refused.value.reason == errors.ERROR_REASON_PAGE_TOKEN_INVALID
