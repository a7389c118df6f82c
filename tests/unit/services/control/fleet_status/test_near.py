"""What somebody may have meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.control.fleet_status.near import NEAR_MAX, Names

MEMORY = "tandem.memory.v1.SessionMemoryService"
FILES = "tandem.utility.v1.FilesService"
THOUGHT = "tandem.reasoning.v1.ThoughtService"
NAMES = Names(
    (
        (MEMORY, MEMORY),
        ("memory-session-memory", MEMORY),
        ("session-memory", MEMORY),
        (FILES, FILES),
        ("utility-files", FILES),
        ("files", FILES),
        (THOUGHT, THOUGHT),
        ("ChainOfThoughtAgent", THOUGHT),
    )
)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("tandem.memory.v1.SesionMemoryService", MEMORY),
        ("tandem.memory.v2.SessionMemoryService", MEMORY),
        ("tandem.memry.v1.SessionMemoryService", MEMORY),
        ("SessionMemory", MEMORY),
        ("memory-sesion-memory", MEMORY),
        ("Flies", FILES),
        ("utility.files", FILES),
        ("ChainOfThougtAgent", THOUGHT),
    ],
)
def test_a_slip_finds_what_was_meant(asked: str, meant: str) -> None:
    """In a full name, its version, a short name or an alias."""
    assert NAMES.near(asked)[0] == meant


@pytest.mark.parametrize("asked", ["", "com.acme.billing.v1.InvoiceService", "/", "é" * 10_000])
def test_what_looks_like_nothing_finds_nothing(asked: str) -> None:
    """A wrong hint is worse than none."""
    assert NAMES.near(asked) == ()


@given(st.text())
def test_any_text_is_answered_in_bounds(asked: str) -> None:
    """Names come from callers: whatever they are, the answer is short, and of agents."""
    found = NAMES.near(asked)
    assert len(found) == len(set(found)) <= NEAR_MAX
    assert set(found) <= {MEMORY, FILES, THOUGHT}
