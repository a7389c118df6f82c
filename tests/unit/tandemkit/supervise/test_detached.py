"""Processes that outlive whoever started them: real ones, found again by their mark."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tandemkit.supervise.detached import Detached, Program, start_detached
from tandemkit.supervise.marks import Mark
from tandemkit.supervise.processes import ProcessFailure

WAITS = "import signal; signal.pause()"
DEAF = (
    "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('deaf', flush=True); signal.pause()"
)


def program(folder: Path, code: str = WAITS) -> Program:
    return Program((sys.executable, "-I", "-S", "-c", code), folder / "log", {"WORD": "kept"})


async def test_a_process_is_found_again_by_its_mark(tmp_path: Path) -> None:
    """As it was written down, by somebody who did not start it."""
    ours = Detached.started(program(tmp_path))
    written = Mark.parsed(str(ours.mark))
    assert written == ours.mark
    found = Detached.found(ours.mark)
    assert found is not None
    found.signal(signal.SIGKILL)
    await found.wait()
    assert await ours.wait() in (-signal.SIGKILL, None)
    assert Detached.found(ours.mark) is None
    assert ours.mark.look() is None


async def test_another_process_of_the_same_number_is_not_mistaken_for_it() -> None:
    """Numbers come again; what began at another time, or in another boot, is somebody else."""
    here = Mark.of(os.getpid())
    assert here is not None
    assert here.look() is not None
    assert Mark(here.pid, here.start_ticks + 1, here.boot).look() is None
    assert Mark(here.pid, here.start_ticks, "another").look() is None
    assert Detached.found(Mark(here.pid, here.start_ticks + 1, here.boot)) is None


@pytest.mark.parametrize("text", ["", "12", "12 34", "a b c", "12 34 boot more", "-1 2 boot"])
def test_half_a_mark_is_none(text: str) -> None:
    """What a machine that lost its power left of it."""
    assert Mark.parsed(text) is None


async def test_it_hears_of_the_end_before_it_is_made_to(tmp_path: Path) -> None:
    """Woken if it was frozen; and one that is deaf is killed after its grace."""
    frozen = Detached.started(program(tmp_path))
    frozen.signal(signal.SIGSTOP)
    assert await frozen.stop(grace_s=10) is False
    assert frozen.exit_status == -signal.SIGTERM
    deaf = Detached.started(program(tmp_path, DEAF))
    while "deaf" not in (tmp_path / "log").read_text():
        os.sched_yield()
    assert await deaf.stop(grace_s=0.1) is True
    assert deaf.exit_status == -signal.SIGKILL


async def test_a_frozen_process_looks_frozen(tmp_path: Path) -> None:
    """Without being asked anything."""
    process = Detached.started(program(tmp_path))
    process.signal(signal.SIGSTOP)
    while (look := process.mark.look()) is not None and not look.is_frozen:
        os.sched_yield()
    assert look is not None
    await process.kill()


async def test_who_lets_go_of_it_leaves_it_running(tmp_path: Path) -> None:
    """For the next one."""
    process = Detached.started(program(tmp_path))
    process.let_go()
    process.let_go()
    again = Detached.found(process.mark)
    assert again is not None
    await again.kill()


async def test_it_is_given_its_environment_and_writes_to_its_log(tmp_path: Path) -> None:
    """And neither our terminal nor what we ignore."""
    code = "import os, signal; print(os.environ, os.getsid(0) == os.getpid(), signal.getsignal(13))"
    process = Detached.started(program(tmp_path, code))
    assert await process.wait() == 0
    told = (tmp_path / "log").read_text()
    assert "'WORD': 'kept'" in told
    assert "'PATH'" not in told
    assert "True" in told
    assert (tmp_path / "log").stat().st_mode & 0o077 == 0


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Before anything is started."""
    with pytest.raises(ProcessFailure, match="no such program"):
        start_detached(Program(("/no/such/program",), tmp_path / "log", {}))
