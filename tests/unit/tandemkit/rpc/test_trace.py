from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.rpc import arrival, trace

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def arrived(header: str) -> str:
    """What is taken from a call that came with `header`."""
    return arrival.read((("other", b"x"), (trace.HEADER, header)))[0]


@given(flags=st.integers(0, 255))
def test_the_trace_goes_on_under_a_new_parent(flags: int) -> None:
    """Trace id and flags stay; the parent id is ours."""
    sent = trace.handed_on(arrived(f"00-{TRACE}-{PARENT}-{flags:02x}"))
    assert sent.startswith(f"00-{TRACE}-")
    assert sent.endswith(f"-{flags:02x}")
    assert PARENT not in sent
    assert trace.sampled(sent) is bool(flags & 1)
    assert trace.trace_id(sent) == TRACE


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        f"01-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n",
        f"00-{TRACE}-{PARENT}-01-more",
    ],
)
def test_a_malformed_header_is_dropped(header: str) -> None:
    """What is not well formed is not handed on, and asks for no record."""
    assert not arrived(header)


def test_each_call_made_on_behalf_of_one_is_a_parent_of_its_own() -> None:
    """Two of them share their trace and nothing else."""
    came = arrived(f"00-{TRACE}-{PARENT}-01")
    assert trace.handed_on(came) != trace.handed_on(came)


def test_a_trace_that_begins_here_is_recorded() -> None:
    """It is well formed, and asks for a record."""
    header = trace.begun()
    assert arrived(header) == header
    assert trace.sampled(header)


def test_a_call_without_a_trace_is_not_sampled() -> None:
    """No header, no record."""
    assert arrival.read(None) == ("", None)
    assert not trace.sampled("")
