from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.supervise.errands import Errands
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.supervise.roll.owners import NoSuchProcess
from tandemkit.supervise.terms import Terms
from tandemkit.testing.clock import FakeClock


async def test_whoever_waits_is_woken_when_the_first_term_ends() -> None:
    """Not before, also when a shorter one begins meanwhile; a dropped one wakes nobody."""
    clock = FakeClock()
    terms = Terms(clock)
    found: list[tuple[float, tuple[str, ...]]] = []

    async def wait() -> None:
        while True:
            over = await terms.ended()
            found.append((clock.monotonic_s(), over))
            for name in over:
                terms.drop(name)

    errands = Errands()
    errands.start(wait())
    terms.begin("long", 10)
    await clock.advance(1)
    terms.begin("short", 2)
    terms.begin("dropped", 3)
    await clock.advance(1)
    terms.drop("dropped")
    terms.begin("long", 20)
    await clock.advance(30)
    await errands.end(grace_s=0)
    assert found == [(3, ("short",)), (22, ("long",))]


async def test_a_term_ends_with_the_process_that_it_is_tied_to(tmp_path: Path) -> None:
    """However much time is left; one that was untied or dropped before goes on, or stays away."""
    terms = Terms(FakeClock())
    command = Command(("sleep", "60"), tmp_path / "log")
    async with supervised_process(command) as started:
        for name in ("tied", "untied", "dropped"):
            terms.begin(name, 1000)
            terms.tie(name, started.pid)
        terms.untie("untied")
        terms.drop("dropped")
        os.kill(started.pid, signal.SIGKILL)
        assert await terms.ended() == ("tied",)
        assert terms.left_s("untied") == 1000
        await started.wait()
        with pytest.raises(NoSuchProcess):
            terms.tie("untied", started.pid)
    terms.close()


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 50)), st.integers(0, 60))
async def test_a_term_lasts_as_long_as_it_was_given(given_s: dict[str, int], after_s: int) -> None:
    """What is left shrinks to 0 and stays there."""
    clock = FakeClock()
    terms = Terms(clock)
    for name, term_s in given_s.items():
        terms.begin(name, term_s)
    await clock.advance(after_s)
    assert {name: terms.left_s(name) for name in given_s} == {
        name: max(0, term_s - after_s) for name, term_s in given_s.items()
    }
    assert terms.left_s("never") == 0
