from __future__ import annotations

import json

import pytest

from tandemkit.telemetry.gpus import Board, board, main


def test_gpus_are_read_or_their_absence_is_explained() -> None:
    """With a driver every GPU has a name and memory, of which no more is used than there is;
    without one the library's own words say so.
    """
    with board() as opened:
        found = opened.read()
    assert bool(found.gpus) != bool(found.absent)
    for gpu in found.gpus:
        assert gpu.name
        assert gpu.uuid
        assert 0 <= gpu.used_bytes <= gpu.memory_bytes
        assert gpu.busy_percent is None or 0 <= gpu.busy_percent <= 100
        assert sum(gpu.held_bytes.values()) <= gpu.memory_bytes


def test_a_library_that_was_absent_stays_absent() -> None:
    """And it is told each time, not raised."""
    assert Board("no driver").read().absent == "no driver"


def test_the_module_prints_what_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    """One command shows on any machine what the agent would see."""
    main()
    told = json.loads(capsys.readouterr().out)
    assert bool(told["gpus"]) != bool(told["absent"])
