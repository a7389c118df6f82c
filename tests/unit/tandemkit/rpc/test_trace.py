from __future__ import annotations

from contextvars import copy_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.rpc import trace

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def handed_on(header: str) -> str:
    """What a call that arrived with `header` sends on."""

    def call() -> str:
        trace.accept((("other", b"x"), (trace.HEADER, header)))
        return trace.outgoing()

    return copy_context().run(call)


@given(flags=st.integers(0, 255))
def test_the_trace_goes_on_under_a_new_parent(flags: int) -> None:
    """Trace id and flags stay; the parent id is ours."""
    sent = handed_on(f"00-{TRACE}-{PARENT}-{flags:02x}")
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
def test_a_malformed_header_starts_a_new_trace(header: str) -> None:
    """What is not well formed is not handed on, and asks for no record."""
    sent = handed_on(header)
    assert TRACE not in sent.lower()
    assert not trace.sampled(sent)


def test_one_call_keeps_one_trace() -> None:
    """Two calls made on behalf of one share their trace, and have parents of their own."""

    def call() -> tuple[str, str]:
        return trace.outgoing(), trace.outgoing()

    first, second = copy_context().run(call)
    assert trace.trace_id(first) == trace.trace_id(second)
    assert first != second


def test_a_call_without_a_trace_is_not_sampled() -> None:
    """No header, no record."""
    assert trace.accept(None) == ""
    assert not trace.sampled("")
