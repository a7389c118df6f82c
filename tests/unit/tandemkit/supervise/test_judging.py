"""Who is well, busy or dead, and why: decided from numbers alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.supervise.judging import (
    LATE_S,
    STALL_S_MAX,
    STILL_S,
    STOPPED_S,
    Finding,
    Look,
    Past,
    Verdict,
    judge,
)
from tandemkit.supervise.pulse import Beats
from tandemkit.supervise.vital_signs import VitalSigns

BEGAN_S = 1000.0
LOOK_S = 0.5


class Story:
    """A process that is looked at every half second; `loop_s` and `cpu_s` are as it leaves them."""

    def __init__(self, stall_s_max: float = STALL_S_MAX) -> None:
        self.now_s = self.loop_s = self.thread_s = BEGAN_S
        self.cpu_s, self.state, self.agent = 1.0, "S", ""
        self._stall_s_max = stall_s_max
        self._past: Past | None = None
        self.look()

    def look(self) -> Finding:
        beats = Beats(1, self.loop_s, self.thread_s, "", 0.0, 0)
        signs = VitalSigns(self.state, self.cpu_s, 0, 0)
        look = Look(self.now_s, beats, signs, self.agent, self._stall_s_max)
        found, self._past = judge(look, self._past)
        return found

    def goes_on(self, for_s: float, cpu_share: float = 0.0, *, beside: bool = True) -> Finding:
        """Without a beat of the loop."""
        found = self.look()
        for _ in range(round(for_s / LOOK_S)):
            self.now_s += LOOK_S
            self.cpu_s += LOOK_S * cpu_share
            self.thread_s = self.now_s if beside else self.thread_s
            found = self.look()
            if found.verdict is Verdict.DEAD:
                break
        return found


def test_a_loop_that_beats_is_well() -> None:
    """Whatever else there is: nobody else is asked."""
    story = Story()
    for _ in range(100):
        story.now_s += LOOK_S
        story.loop_s = story.now_s
        assert story.look() == Finding(Verdict.WELL)


@pytest.mark.parametrize("state", ["R", "S"])
def test_one_that_computes_is_left_alone_until_its_time_is_spent(state: str) -> None:
    """In the loop's own thread, or in another one that keeps it from going on."""
    story = Story(stall_s_max=10)
    story.state, story.agent = state, "text-tell"
    busy = story.goes_on(9.5, cpu_share=0.9)
    assert (busy.verdict, busy.agent) == (Verdict.BUSY, "text-tell")
    assert busy.cause == "text-tell has held its loop for 9.5 s, and may for 10"
    dead = story.goes_on(2, cpu_share=0.9)
    assert (dead.verdict, dead.agent, dead.spins) == (Verdict.DEAD, "text-tell", True)
    assert dead.cause == "text-tell has held its loop for 10.5 s, and may for 10"


def test_one_that_does_not_move_is_dead_soon() -> None:
    """However much time it would have: nothing is to be hoped for."""
    story = Story(stall_s_max=3600)
    dead = story.goes_on(60)
    assert (dead.verdict, dead.spins, dead.held_s) == (Verdict.DEAD, False, STILL_S)
    assert dead.cause == "its loop waits in somebody, and nothing has moved for 2.0 s"


def test_the_lock_is_named_where_no_thread_moves() -> None:
    """That the thread beside the loop is silent too tells one from the other."""
    dead = Story().goes_on(60, beside=False)
    assert dead.cause == "somebody keeps the interpreter lock and has computed nothing for 2.0 s"


def test_what_a_process_needs_to_be_there_is_no_progress() -> None:
    """Its other threads wake up now and then."""
    assert Story().goes_on(60, cpu_share=0.005).verdict is Verdict.DEAD


@pytest.mark.parametrize("state", ["R", "D"])
def test_who_would_run_and_is_not_let_is_busy(state: str) -> None:
    """A full machine gives it no CPU, a slow disk no answer: neither is its fault."""
    story = Story()
    story.state = state
    assert story.goes_on(20).verdict is Verdict.BUSY


def test_a_stopped_one_is_dead_sooner() -> None:
    """It leaves time for a new one within three seconds."""
    story = Story()
    story.state = "T"
    dead = story.goes_on(60, beside=False)
    assert (dead.verdict, dead.spins) == (Verdict.DEAD, False)
    assert STOPPED_S <= dead.held_s <= STOPPED_S + LOOK_S
    assert "SIGSTOP" in dead.cause


def test_one_in_a_debugger_is_left_alone() -> None:
    """Somebody looks into it."""
    story = Story(stall_s_max=10)
    story.state = "t"
    found = story.goes_on(3600, beside=False)
    assert found.verdict is Verdict.BUSY
    assert "debugger" in found.cause


def test_who_was_away_begins_anew() -> None:
    """After a pause of the whole machine, or a new supervisor, nobody is dead at first sight."""
    story = Story()
    story.now_s += 3600
    assert story.look().verdict is Verdict.BUSY
    story.now_s += LOOK_S
    story.loop_s = story.now_s
    assert story.look().verdict is Verdict.WELL


def test_a_second_wind_counts() -> None:
    """One that waits, computes and waits again is judged by its last wait."""
    story = Story()
    assert story.goes_on(1.5).verdict is Verdict.BUSY
    assert story.goes_on(5, cpu_share=0.5).verdict is Verdict.BUSY
    assert story.goes_on(1.5).verdict is Verdict.BUSY
    assert story.goes_on(1).verdict is Verdict.DEAD


_STEPS = st.lists(
    st.tuples(
        st.floats(0.01, 5),
        st.booleans(),
        st.floats(0, 1),
        st.sampled_from("RSDTtZ"),
        st.booleans(),
    ),
    max_size=60,
)


@given(_STEPS, st.floats(1, 60))
def test_nobody_dies_without_silence_that_somebody_watched(
    steps: list[tuple[float, bool, float, str, bool]], stall_s_max: float
) -> None:
    """Dead is only who was late, and seen to be so over the whole of a limit; and it says why."""
    story = Story(stall_s_max)
    watched_since_s = story.now_s
    for wait_s, has_beaten, cpu_s, state, beside in steps:
        story.now_s += wait_s
        watched_since_s = story.now_s if wait_s > 2 else watched_since_s
        story.loop_s = story.now_s if has_beaten else story.loop_s
        story.thread_s = story.now_s if beside else story.thread_s
        story.cpu_s, story.state = story.cpu_s + cpu_s, state
        found = story.look()
        silent_s = story.now_s - story.loop_s
        assert (found.verdict is Verdict.WELL) == (silent_s < LATE_S)
        assert (found.cause == "") == (found.verdict is Verdict.WELL)
        if found.verdict is Verdict.DEAD:
            seen_s = story.now_s - max(story.loop_s, watched_since_s)
            assert seen_s >= min(STOPPED_S, STILL_S, stall_s_max)
            assert not found.spins or seen_s > stall_s_max


@given(st.floats(0.1, 1), st.floats(5, 60))
def test_who_computes_has_all_of_its_time(cpu_share: float, stall_s_max: float) -> None:
    """Neither more than a look longer, nor less."""
    story = Story(stall_s_max)
    dead = story.goes_on(3600, cpu_share)
    assert dead.spins
    assert stall_s_max < dead.held_s <= stall_s_max + LOOK_S + 1e-6


def test_an_agent_found_out_late_changes_nothing_but_the_words() -> None:
    """The stack comes after the verdict."""
    beats, signs = Beats(1, 0, 0, "", 0, 0), VitalSigns("S", 1.0, 0, 0)
    past = Past(99.5, 90, 90, 1.0)
    look = Look(100, beats, signs)
    found, _past = judge(look, past)
    named, _past = judge(replace(look, agent="text-tell"), past)
    assert found.verdict is named.verdict is Verdict.DEAD
    assert named.cause == found.cause.replace("somebody", "text-tell")
