"""Sets of cores as files write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.fleet.cores import parsed, written


@given(st.sets(st.integers(0, 200)).map(lambda cores: tuple(sorted(cores))))
def test_what_is_written_is_read_again(cores: tuple[int, ...]) -> None:
    """The shortest text means the same cores."""
    assert parsed(written(cores)) == cores


def test_runs_are_written_short() -> None:
    """As the kernel writes them."""
    assert written((0, 1, 2, 3, 8, 10, 11)) == "0-3,8,10-11"


def test_a_backward_run_is_refused_with_the_right_one() -> None:
    """It would mean no core at all, silently."""
    with pytest.raises(ValueError, match="5-2 ends before it begins: write 2-5"):
        parsed("0,5-2")
