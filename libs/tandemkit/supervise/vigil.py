"""Looks after processes from outside: who is well, who is busy, and who has to be killed.

It reads memory and /proc, and asks the processes nothing, so none of them can hold it up.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tandemkit.core.clock import Clock, until_next_s
from tandemkit.supervise import stacks
from tandemkit.supervise.confinement import MIB
from tandemkit.supervise.judging import LATE_S, STALL_S_MAX, Finding, Look, Past, Verdict, judge
from tandemkit.supervise.pulse import Beats, Reader
from tandemkit.supervise.vital_signs import RUNS, STOPPED, VitalSigns

# Dead is told at most so much later than it could be.
LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Watched:
    """One process. `stalls_s_max` is for how long each agent may hold the loop; who is not named
    there may for the default time. 0 stands for no limit of memory.
    """

    name: str
    pid: int
    pulse: Path
    stalls_s_max: Mapping[str, float] = field(default_factory=dict)
    memory_bytes_max: int = 0


@dataclass(slots=True)
class _Case:
    """What is known of one process from look to look."""

    watched: Watched
    reader: Reader
    past: Past | None = None
    finding: Finding | None = None
    # Whether its stack was asked for since its loop beat last.
    was_asked: bool = False
    # To be killed at the next look, by when its stack says who is to blame.
    condemned: Look | None = None
    # Since when it is stopped, of one that does not beat yet.
    stopped_s: float | None = None
    is_killed: bool = False


Word = Callable[[Watched, Finding], None]


class Vigil:
    """`watched` says whom to look after, at each look. `tell` hears each change, also of who holds
    a loop; `kill` hears of a death, once for each process, and is to end it with SIGKILL: what is
    stopped or holds its lock hears nothing else.
    """

    def __init__(
        self, watched: Callable[[], Iterable[Watched]], kill: Word, tell: Word, clock: Clock
    ) -> None:
        self._watched, self._kill, self._tell, self._clock = watched, kill, tell, clock
        self._cases: dict[str, _Case] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                self.look()
                await self._clock.sleep(until_next_s(self._clock, LOOK_S))
        finally:
            for case in self._cases.values():
                case.reader.close()

    def look(self) -> None:
        """At everybody, once."""
        present = {one.name: one for one in self._watched()}
        for name in self._cases.keys() - present.keys():
            self._cases.pop(name).reader.close()
        for name, watched in present.items():
            case = self._cases.get(name)
            if case is None or case.watched.pid != watched.pid:
                if case is not None:
                    case.reader.close()
                case = self._cases[name] = _Case(watched, Reader(watched.pulse))
            case.watched = watched
            self._look_at(case)

    def finding(self, name: str) -> Finding | None:
        """Of the last look; None for a process that has not begun to beat, or is not there."""
        case = self._cases.get(name)
        return case.finding if case else None

    def _look_at(self, case: _Case) -> None:
        signs = VitalSigns.of(case.watched.pid)
        if signs is None or case.is_killed:
            # Its end is somebody else's to notice.
            return
        beats = self._beats(case, signs)
        if beats is None:
            return
        if case.condemned is not None:
            look = replace(case.condemned, agent=_on_stack(case))
            self._end(case, judge(look, case.past)[0])
            return
        if 0 < case.watched.memory_bytes_max < signs.memory_bytes:
            self._end(case, _too_big(case.watched, signs))
            return
        now_s = self._clock.monotonic_s()
        agent = self._holder(case, beats, signs, now_s)
        limits = case.watched.stalls_s_max
        most_s = max(limits.values(), default=STALL_S_MAX)
        look = Look(now_s, beats, signs, agent, limits.get(agent, most_s))
        found, case.past = judge(look, case.past)
        if found.verdict is Verdict.WELL:
            case.was_asked = False
        if found.verdict is not Verdict.DEAD:
            self._say(case, found)
        elif found.agent or signs.state == STOPPED or not _ask(case, beats):
            self._end(case, found)
        else:
            # Even if the question wakes it, it was dead for long enough.
            case.condemned = look

    def _beats(self, case: _Case, signs: VitalSigns) -> Beats | None:
        """Of a process that has not begun to beat there is but one thing to know: that it was
        stopped meanwhile.
        """
        beats = case.reader.read()
        if beats is not None and beats.pid == case.watched.pid:
            return beats
        if signs.state != STOPPED:
            case.stopped_s = None
            return None
        if case.stopped_s is None:
            case.stopped_s = self._clock.monotonic_s()
        return Beats(case.watched.pid, case.stopped_s, case.stopped_s, "", 0.0, 0)

    def _holder(self, case: _Case, beats: Beats, signs: VitalSigns, now_s: float) -> str:
        """Who holds the loop. The process says so itself while it can; where its interpreter lock
        is held it writes its stack upon a signal. One that sleeps is not asked: that could end its
        sleep.
        """
        if now_s - beats.loop_s < LATE_S:
            return ""
        if beats.holder or now_s - beats.thread_s < LATE_S:
            return beats.holder
        if case.was_asked:
            return _on_stack(case)
        if signs.state == RUNS:
            _ask(case, beats)
        return ""

    def _end(self, case: _Case, finding: Finding) -> None:
        case.is_killed = True
        self._say(case, finding)
        self._kill(case.watched, finding)

    def _say(self, case: _Case, finding: Finding) -> None:
        was, case.finding = case.finding, finding
        if was is None or (was.verdict, was.agent) != (finding.verdict, finding.agent):
            self._tell(case.watched, finding)


def _too_big(watched: Watched, signs: VitalSigns) -> Finding:
    used, most = signs.memory_bytes // MIB, watched.memory_bytes_max // MIB
    return Finding(Verdict.DEAD, f"it used {used} MiB of memory, and may use {most}")


def _ask(case: _Case, beats: Beats) -> bool:
    """Whether the process has been asked for its stack, once in a stall."""
    if case.was_asked or not beats.dump_signal:
        return False
    with contextlib.suppress(OSError):
        os.truncate(stacks.path_beside(case.watched.pulse), 0)
        os.kill(case.watched.pid, beats.dump_signal)
        case.was_asked = True
    return case.was_asked


def _on_stack(case: _Case) -> str:
    written = stacks.written(stacks.path_beside(case.watched.pulse))
    return stacks.holder(written, case.reader.origins)
