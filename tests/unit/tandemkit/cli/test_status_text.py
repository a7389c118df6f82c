"""How machines are shown: on terminals of any size, with the trouble always in sight."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.control.v1 import machine_pb2 as nouns
from tandemkit.cli.columns import cut, width_of
from tandemkit.cli.fleet_view import View
from tandemkit.cli.status_text import Look, status_lines
from tandemkit.testing.machine import machine_of

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
AGENTS = [f"utility-agent-{number}" for number in range(30)]


def trouble() -> nouns.Machine:
    machine = machine_of("laptop", control=["control-registry"], agents=AGENTS)
    ill = machine.hosts[1].agents[20]
    ill.state, ill.cause = nouns.AGENT_STATE_NOT_SERVING, "disk full \x1b[2J 満杯 " * 5
    machine.hosts[1].state = nouns.HOST_STATE_DEGRADED
    return machine


def shown(look: Look, machine: nouns.Machine | None = None) -> list[str]:
    return status_lines([View(machine or trouble(), is_here=True)], "", look)


def test_each_host_and_agent_has_a_line() -> None:
    """With what there is to say of it, and no column for what nobody has."""
    lines = shown(Look(NOON))
    assert lines[0].startswith("laptop  NOT ALL SERVING  profile laptop")
    assert len(lines) == 2 + 2 + 1 + len(AGENTS)
    assert "8201  9101" in lines[4]
    assert "RESTARTS" not in lines[1]
    assert any("disk full \\x1b[2J" in line for line in lines)


@given(st.integers(1, 140), st.integers(1, 60))
def test_it_fits_any_terminal(width: int, height: int) -> None:
    """No line is wider, no page is longer."""
    lines = shown(Look(NOON, width, height))
    assert len(lines) <= height
    assert all(width_of(line) <= width for line in lines)


def test_a_low_terminal_counts_what_serves_and_shows_what_does_not() -> None:
    """Trouble is not what is left out."""
    lines = shown(Look(NOON, 80, 12))
    assert any("utility-agent-20" in line for line in lines)
    assert any("29 agents" in line for line in lines)


def test_a_narrow_terminal_keeps_name_and_state() -> None:
    """Less important columns go first."""
    head = shown(Look(NOON, 44))[1]
    assert "STATE" in head
    assert "CPU" not in head


def test_colours_say_what_words_say() -> None:
    """And take no room."""
    plain, coloured = shown(Look(NOON, 60)), shown(Look(NOON, 60, is_coloured=True))
    stripped = [
        line.replace("\033[31m", "").replace("\033[32m", "").replace("\033[33m", "")
        for line in coloured
    ]
    assert [line.replace("\033[0m", "") for line in stripped] == plain
    assert any("\033[31mNOT_SERVING" in line for line in coloured)


def test_a_share_of_the_cpu_is_of_the_time_between_two_looks() -> None:
    """Or of all its time, where it was looked at once."""
    machine = machine_of("laptop", agents=AGENTS[:1])
    machine.hosts[0].started_at.FromDatetime(datetime(2026, 11, 21, 11, 59, tzinfo=UTC))
    machine.hosts[0].cpu.FromSeconds(30)
    assert "50.0%" in shown(Look(NOON), machine)[2]
    assert "12.5%" in shown(Look(NOON, shares={("laptop", "agents"): 0.125}), machine)[2]


@pytest.mark.parametrize(
    ("text", "width", "kept"), [("abcdef", 4, "abc…"), ("満杯です", 5, "満杯…"), ("ab", 2, "ab")]
)
def test_text_is_cut_by_what_the_terminal_shows(text: str, width: int, kept: str) -> None:
    """A wide character takes two columns."""
    assert cut(text, width) == kept
    assert width_of(cut(text, width)) <= width
