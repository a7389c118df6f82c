"""What one process writes of its life another one reads, whatever happens in between."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.core.clock import SystemClock
from tandemkit.supervise import stacks
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.supervise.pulse import Beats, Origin, Pulse, Reader, pulse
from tests.unit.tandemkit.supervise import beater

ORIGINS = (Origin("text-tell", "/s/text/tell.py"), Origin("utility-files", "/s/utility/files/"))
NAMES = ("", *(one.agent for one in ORIGINS))
# For as long as a machine may run without a restart.
TIMES_S = st.floats(0, 1e9)
CLOCK = SystemClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pulse"


@pytest.fixture
def beats(path: Path) -> Iterator[Pulse]:
    with pulse(path, ORIGINS) as made:
        yield made


def seen(path: Path) -> Beats:
    reader = Reader(path)
    found = reader.read()
    reader.close()
    assert found is not None
    return found


@given(TIMES_S, TIMES_S, TIMES_S, st.sampled_from(NAMES))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    loop_s: float,
    thread_s: float,
    since_s: float,
    name: str,
) -> None:
    """Times to the millisecond at least, and who holds the loop."""
    path = tmp_path_factory.mktemp("pulses") / "pulse"
    with pulse(path, ORIGINS) as beats:
        beats.loop_beats(loop_s)
        beats.thread_beats(thread_s)
        beats.held_by(name, since_s)
        found = seen(path)
    assert found.pid == os.getpid()
    assert found.loop_s == pytest.approx(loop_s, abs=1e-6)
    assert found.thread_s == pytest.approx(thread_s, abs=1e-6)
    assert found.holder == name
    assert found.held_since_s == pytest.approx(since_s, abs=2e-3)


def test_a_holder_that_is_not_known_is_nobody(beats: Pulse, path: Path) -> None:
    """Rather than somebody else."""
    beats.held_by("text-tell", 1)
    beats.held_by("text-other", 2)
    assert seen(path).holder == ""


def test_a_reader_follows_the_file_to_the_next_process(path: Path) -> None:
    """The newer one replaces the older in one step, and the older one's beats touch it no more."""
    reader = Reader(path)
    assert reader.read() is None
    with pulse(path, ORIGINS) as older:
        older.loop_beats(1)
        assert reader.read() is not None
        with pulse(path, ORIGINS[:1]) as newer:
            newer.loop_beats(2)
            older.loop_beats(3)
            found = reader.read()
            assert found is not None
            assert found.loop_s == 2
            assert reader.origins == ORIGINS[:1]
    reader.close()


@pytest.mark.parametrize("content", [b"", b"x", bytes(65536), b"tandem\x00\x02" + bytes(65528)])
def test_a_file_that_is_no_pulse_is_none(path: Path, content: bytes) -> None:
    """Half a file, an empty one, another layout's: nothing is read out of it."""
    path.write_bytes(content)
    assert Reader(path).read() is None


def test_only_its_owner_reads_it(beats: Pulse, path: Path) -> None:
    """Names of agents and files are nobody else's business."""
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_more_agents_than_there_is_room_for_are_left_unnamed(path: Path) -> None:
    """The others keep their names, and no name is cut."""
    many = [Origin(f"agent-{number}", "/" + "x" * 200) for number in range(1000)]
    with pulse(path, many) as beats:
        reader = Reader(path)
        beats.held_by("agent-7", 0)
        found = reader.read()
        assert found is not None
        assert found.holder == "agent-7"
        assert 250 < len(reader.origins) < 1000
        assert reader.origins == tuple(many[: len(reader.origins)])
        beats.held_by("agent-999", 0)
        assert seen(path).holder == ""
        reader.close()


async def test_no_reader_ever_sees_half_of_a_fact(path: Path) -> None:
    """Not while the process writes as fast as it can, and not of one that was killed doing so."""
    command = Command((sys.executable, "-m", beater.__name__, str(path)), path.with_name("log"))

    async def beats() -> None:
        assert Reader(path).read() is not None

    reader = Reader(path)
    async with supervised_process(command, ready=beats):
        for _ in range(20000):
            assert_whole(reader.read())
    assert_whole(reader.read())
    assert seen(path).loop_s > 0
    reader.close()


def assert_whole(found: Beats | None) -> None:
    assert found is not None
    assert found.holder in {"", f"agent-{found.held_since_s:g}"}


def test_a_stack_names_the_agent_whose_code_is_nearest() -> None:
    """Below it may be the kit, and above it what it calls; the same files may hold others."""
    told = (
        "Stack (most recent call first):\n"
        '  File "/lib/re.py", line 1 in match\n'
        '  File "/s/utility/files/paths.py", line 2 in found\n'
        '  File "/s/text/tell.py", line 3 in Tell\n'
    )
    assert stacks.holder(told, ORIGINS) == "utility-files"
    assert stacks.holder(told.replace("/s/utility", "/else"), ORIGINS) == "text-tell"
    assert stacks.holder("", ORIGINS) == ""
