"""Whether a process is well, busy or dead, by what it and the kernel say of it.

A silence alone kills nobody: docs/design/liveness.md has the rules and their reasons.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from tandemkit.supervise.pulse import BEAT_S, Beats
from tandemkit.supervise.vital_signs import (
    RUNS,
    STOPPED,
    TRACED,
    WAITS_FOR_DEVICE,
    VitalSigns,
)

# A loop that did not beat for so long is held.
LATE_S = 2.5 * BEAT_S
# A held one that uses no CPU time for so long will never go on; of a process that was stopped by a
# signal there is nothing more to find out.
STILL_S, STOPPED_S = 2.0, LATE_S
# What an agent may hold the loop for if its stanza does not say.
STALL_S_MAX = 30.0
# So much CPU time is progress; what a process needs only to be there is a hundredth of it.
_STEP_S = 0.04
# Who did not look for so long was away itself, and knows nothing of what happened meanwhile.
_AWAY_S = 2.0


class Verdict(enum.StrEnum):
    """WELL and BUSY are left alone; DEAD is killed, as nothing else helps."""

    WELL = "WELL"
    BUSY = "BUSY"
    DEAD = "DEAD"


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict with its reason, for people. `agent` is who holds the loop, if that is known;
    `spins` is true where it is alive and takes more than it may.
    """

    verdict: Verdict
    cause: str = ""
    agent: str = ""
    held_s: float = 0.0
    spins: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a process. `agent` is who holds its loop, by what anybody found out."""

    now_s: float
    beats: Beats
    signs: VitalSigns
    agent: str = ""
    stall_s_max: float = STALL_S_MAX


@dataclass(frozen=True, slots=True)
class Past:
    """What one look leaves for the next: when it was, since when somebody looks without a pause,
    and when the process had last used a step of CPU time.
    """

    looked_s: float
    watched_since_s: float
    moved_s: float
    moved_cpu_s: float


def judge(look: Look, past: Past | None) -> tuple[Finding, Past]:
    """The finding, and what to hand in at the next look at the same process."""
    past = _gone_on(look, past)
    if look.now_s - look.beats.loop_s < LATE_S:
        return Finding(Verdict.WELL), past
    # What happened while nobody looked may be a pause of the whole machine.
    held_s = look.now_s - max(look.beats.loop_s, past.watched_since_s)
    still_s = look.now_s - max(look.beats.loop_s, past.moved_s)
    cause = _death(look, held_s, still_s)
    if cause:
        spins = look.signs.state != STOPPED and still_s < STILL_S
        return Finding(Verdict.DEAD, cause, look.agent, held_s, spins), past
    return Finding(Verdict.BUSY, _business(look, held_s), look.agent, held_s), past


def _gone_on(look: Look, past: Past | None) -> Past:
    signs, now_s = look.signs, look.now_s
    if past is None or now_s - past.looked_s > _AWAY_S or signs.cpu_s < past.moved_cpu_s:
        return Past(now_s, now_s, now_s, signs.cpu_s)
    moves = signs.state in (RUNS, WAITS_FOR_DEVICE, TRACED)
    if moves or signs.cpu_s - past.moved_cpu_s >= _STEP_S:
        past = replace(past, moved_s=now_s, moved_cpu_s=signs.cpu_s)
    return replace(past, looked_s=now_s)


def _death(look: Look, held_s: float, still_s: float) -> str:
    """Why it is dead; empty where it is not."""
    who = look.agent or "somebody"
    if look.signs.state == TRACED:
        # A person looks into it.
        return ""
    if look.signs.state == STOPPED:
        if held_s < STOPPED_S:
            return ""
        return f"a signal stopped it (SIGSTOP), and nobody let it go on for {held_s:.1f} s"
    if still_s >= STILL_S:
        if look.now_s - look.beats.thread_s >= LATE_S:
            return f"{who} keeps the interpreter lock and has computed nothing for {held_s:.1f} s"
        return f"its loop waits in {who}, and nothing has moved for {held_s:.1f} s"
    if held_s > look.stall_s_max:
        return f"{who} has held its loop for {held_s:.1f} s, and may for {look.stall_s_max:g}"
    return ""


def _business(look: Look, held_s: float) -> str:
    who = look.agent or "somebody"
    if look.signs.state == TRACED:
        return f"a debugger has stopped it for {held_s:.1f} s"
    if look.signs.state == STOPPED:
        return f"a signal has stopped it (SIGSTOP) for {held_s:.1f} s"
    return f"{who} has held its loop for {held_s:.1f} s, and may for {look.stall_s_max:g}"
