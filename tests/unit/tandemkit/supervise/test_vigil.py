"""Who looks after processes tells each change once, and asks for each death once: this process
stands for all of them, so that the kernel's part is real and its state is that of one that runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tandemkit.supervise.judging import Finding, Verdict
from tandemkit.supervise.pulse import Origin, Pulse, pulse
from tandemkit.supervise.vigil import LOOK_S, Vigil, Watched
from tandemkit.testing.clock import FakeClock

TELL, OTHER = "text-tell", "text-other"
ORIGINS = (Origin(TELL, "/t"), Origin(OTHER, "/o"))


class Ward:
    """One process in the care of a vigil."""

    def __init__(self, path: Path) -> None:
        self.clock = FakeClock()
        self.watched: list[Watched] = [Watched("host", os.getpid(), path, {TELL: 5.0, OTHER: 9.0})]
        self.told: list[Finding] = []
        self.killed: list[Finding] = []
        self.vigil = Vigil(
            lambda: self.watched,
            lambda _one, finding: self.killed.append(finding),
            lambda _one, finding: self.told.append(finding),
            self.clock,
        )

    async def looks(self, for_s: float) -> None:
        for _ in range(round(for_s / LOOK_S)):
            await self.clock.advance(LOOK_S)
            self.vigil.look()

    @property
    def verdicts(self) -> list[Verdict]:
        return [one.verdict for one in self.told]


@contextmanager
def beating(path: Path, ward: Ward) -> Iterator[Pulse]:
    with pulse(path, ORIGINS) as beats:
        beats.loop_beats(ward.clock.monotonic_s())
        beats.thread_beats(ward.clock.monotonic_s())
        ward.vigil.look()
        yield beats


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path / "pulse")


async def test_each_change_is_told_once(ward: Ward, tmp_path: Path) -> None:
    """Who holds the loop is a change too; that it goes on is none."""
    with beating(tmp_path / "pulse", ward) as beats:
        await ward.looks(3)
        beats.held_by(TELL, 0)
        await ward.looks(1)
        beats.loop_beats(ward.clock.monotonic_s())
        await ward.looks(1)
    told = [(one.verdict, one.agent) for one in ward.told]
    assert told == [
        (Verdict.WELL, ""),
        (Verdict.BUSY, ""),
        (Verdict.BUSY, TELL),
        (Verdict.WELL, ""),
    ]
    assert ward.killed == []


@pytest.mark.parametrize(("agent", "most_s"), [(TELL, 5.0), (OTHER, 9.0), ("", 9.0)])
async def test_each_agent_has_its_own_time(
    ward: Ward, tmp_path: Path, agent: str, most_s: float
) -> None:
    """Whoever is not known has the longest of the host; the death is asked for once."""
    with beating(tmp_path / "pulse", ward) as beats:
        beats.held_by(agent, 0)
        await ward.looks(most_s)
        assert ward.killed == []
        await ward.looks(10)
    (dead,) = ward.killed
    assert (dead.agent, dead.spins, dead.held_s) == (agent, True, most_s + LOOK_S)
    assert ward.verdicts == [Verdict.WELL, Verdict.BUSY, Verdict.DEAD]
    assert ward.vigil.finding("host") == dead


async def test_the_next_process_begins_anew(ward: Ward, tmp_path: Path) -> None:
    """Nothing is said of it before it beats itself; the old one's file is not its own."""
    with beating(tmp_path / "pulse", ward):
        await ward.looks(10)
        assert len(ward.killed) == 1
        ward.watched = [replace(ward.watched[0], pid=os.getppid())]
        await ward.looks(30)
        assert ward.vigil.finding("host") is None
        assert len(ward.killed) == 1
        ward.watched = []
        ward.vigil.look()
        assert ward.vigil.finding("host") is None


async def test_one_that_takes_too_much_memory_is_dead_though_it_beats(
    ward: Ward, tmp_path: Path
) -> None:
    """With both numbers in the cause."""
    ward.watched = [replace(ward.watched[0], memory_bytes_max=1 << 20)]
    with beating(tmp_path / "pulse", ward):
        pass
    (dead,) = ward.killed
    assert dead.verdict is Verdict.DEAD
    assert dead.cause.endswith("MiB of memory, and may use 1")
