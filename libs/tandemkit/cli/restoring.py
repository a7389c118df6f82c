"""The way of a restore: verified, laid out, stopped, kept aside, swapped, started, tried. Each step
is written down, so that one that was interrupted is gone on with.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tandem.control.v1 import checkpoint_pb2 as pb
from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1.machine_event_pb2 import CheckpointRestored
from tandem.control.v1.traffic_policy_pb2 import ChangeNote
from tandemkit.cli import starting
from tandemkit.cli.checkpoint_events import unrecorded
from tandemkit.cli.ending import end_fleet
from tandemkit.cli.output import EXIT_NO, Refusal
from tandemkit.cli.progress import progress
from tandemkit.cli.shelving import in_thread, made, name_now, verified
from tandemkit.cli.smoke import Trial, smoke
from tandemkit.core.clock import SystemClock, stopwatch_s
from tandemkit.core.environment import Environment
from tandemkit.core.errors import Failure
from tandemkit.machine.checkpoints.building import build_of, deployed, say_deployed
from tandemkit.machine.checkpoints.filling import Wish
from tandemkit.machine.checkpoints.restoring import Restore
from tandemkit.machine.checkpoints.servers import Export, Written, exports_of
from tandemkit.machine.checkpoints.shelf import Kept, Shelf
from tandemkit.machine.home import Home

ASIDE = "before-restore-"
_ASIDE_KEPT, _SAID_MAX = 3, 3
_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be brought back, and how. `wanted` is what runs afterwards; None: nothing."""

    name: str
    note: ChangeNote
    wanted: nouns.WantedMachine | None
    smoke: Sequence[str] = ()
    within_s: float = 300.0


@dataclass
class Restored:
    """What was done, in the order in which it was, with the time that each step took."""

    name: str
    aside: str = ""
    steps: list[tuple[str, float]] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    machine: nouns.Machine | None = None
    took_s: float = 0.0
    unrecorded: str = ""

    @property
    def failed(self) -> list[Trial]:
        return [one for one in self.trials if one.failed]


class Restoring:
    """One run of the command. Whoever calls holds the shelf alone."""

    def __init__(self, environment: Environment, home: Home, asked: Asked) -> None:
        self._environment, self._home, self._asked = environment, home, asked
        self._shelf, self._restore = Shelf(home), Restore(home)
        self._done = Restored(asked.name)
        self._began_s = self._step_s = stopwatch_s()

    async def run(self) -> Restored:
        kept = self._shelf.kept(self._asked.name)
        if self._restore.half_done is None:
            await self._verify(kept)
        journal = self._restore.begin(self._journal(kept))
        self._done.name, self._done.aside = kept.name, journal.aside
        if journal.step < pb.RESTORE_STEP_SWAPPING:
            await self._prepare(kept, journal)
        if journal.step < pb.RESTORE_STEP_SWAPPED:
            self._restore.carry_over()
            self._restore.note(journal, pb.RESTORE_STEP_SWAPPING)
            self._restore.swap()
            say_deployed(self._home, kept.manifest.build)
            self._restore.note(journal, pb.RESTORE_STEP_SWAPPED)
            self._stepped("swapped")
        await self._put_back(kept, is_first=True)
        # Of one that is gone on with, what is asked for now counts: then did not come about.
        if self._asked.wanted is not None:
            await self._start(self._asked.wanted, kept)
        else:
            await self._put_back(kept, is_first=False)
        await self._finish(kept)
        return self._done

    def _journal(self, kept: Kept) -> pb.RestoreJournal:
        asked, present = self._asked, self._home.wanted
        journal = pb.RestoreJournal(
            checkpoint=kept.name,
            aside=name_now(self._shelf, ASIDE),
            note=asked.note,
            wanted=asked.wanted,
            present=present,
        )
        journal.begin_time.FromDatetime(_CLOCK.now())
        return journal

    async def _verify(self, kept: Kept) -> None:
        if faults := await verified(kept):
            said = "; ".join(f"{one.file}: {one.what}" for one in faults[:_SAID_MAX])
            raise Refusal(f"{kept.name} is not restored, for it is damaged: {said}.", EXIT_NO)
        self._stepped("verified")

    async def _prepare(self, kept: Kept, journal: pb.RestoreJournal) -> None:
        """All that changes nothing of what is there; the fleet goes on for the longest part."""

        def lay_out(tell: Callable[[str], None]) -> None:
            self._restore.lay_out(kept, tell)

        await in_thread(f"laying out {kept.name}", lay_out)
        self._restore.note(journal, pb.RESTORE_STEP_LAID_OUT)
        self._stepped("laid out")
        # Servers of the fleet's own end with it, and so do secrets that only its launcher had.
        exports, secrets = await self._exported(journal), self._home.secrets.handed()
        shown = progress(sys.stderr)
        await end_fleet(self._home, shown.show, f"./tandem restore {kept.name}")
        shown.end()
        self._home.secrets.hand(secrets)
        self._restore.note(journal, pb.RESTORE_STEP_STOPPED)
        self._stepped("stopped")
        await self._keep_aside(journal, exports)
        self._restore.note(journal, pb.RESTORE_STEP_KEPT_ASIDE)
        self._stepped("kept aside")

    async def _exported(self, journal: pb.RestoreJournal) -> Sequence[Export]:
        """What servers keep now, for the checkpoint of what was there; one that does not answer is
        none the better for waiting.
        """
        found = []
        for export in exports_of(journal.present if journal.HasField("present") else None):
            place = self._restore.folder / export.path
            try:
                await export.write(place)
            except Failure as error:
                self._done.trials.append(Trial(f"{export.title}, kept aside", str(error)))
            else:
                found.append(Written(export.path, export.title, export.is_first, place))
        return found

    async def _put_back(self, kept: Kept, *, is_first: bool) -> None:
        """Into the servers that the checkpoint's own fleet had."""
        held = {one.path for one in kept.manifest.files}
        for export in exports_of(kept.manifest.wanted):
            if export.path in held and export.is_first == is_first:
                why = ""
                try:
                    await export.put_back(kept.files / export.path)
                except Failure as error:
                    why = str(error)
                self._done.trials.append(Trial(f"{export.title}, put back", why))

    async def _keep_aside(self, journal: pb.RestoreJournal, exports: Sequence[Export]) -> None:
        """What is there now, with whatever is wrong with it."""
        present = journal.present if journal.HasField("present") else None
        wish = Wish(
            journal.aside,
            pb.CHECKPOINT_KIND_BEFORE_RESTORE,
            self._asked.note,
            deployed(self._home) or build_of(self._environment, present),
            present,
            damage=True,
            exports=exports,
        )
        await made(self._home, wish)

    async def _start(self, wanted: nouns.WantedMachine, kept: Kept) -> None:
        """Layer by layer, each when the one before it serves."""
        # Ports that others took meanwhile are chosen anew.
        wanted.generation = 0
        within_s = self._asked.within_s
        start = starting.Start(wanted, "", detach=True, within_s=within_s, restoring=True)
        shown = progress(sys.stderr)
        await starting.begin(self._environment, self._home, start, lambda: None)
        self._done.machine = await starting.settled(self._home, shown.show, start.within_s)
        shown.end()
        self._stepped("started")
        # The server may be one of the fleet's own; whoever follows its values hears of each.
        await self._put_back(kept, is_first=False)
        self._done.trials += await smoke(self._done.machine, kept.manifest, self._asked.smoke)
        self._stepped("tried")

    async def _finish(self, kept: Kept) -> None:
        await asyncio.to_thread(self._restore.finish)
        self._shelf.thin(pb.CHECKPOINT_KIND_BEFORE_RESTORE, _ASIDE_KEPT)
        done = self._done
        done.took_s = stopwatch_s() - self._began_s
        said = CheckpointRestored(
            name=kept.name,
            aside=done.aside,
            position=kept.manifest.events.position,
            serving=done.machine is not None and not done.failed,
        )
        said.duration.FromNanoseconds(int(done.took_s * 1e9))
        done.unrecorded = await unrecorded(self._home, self._asked.note, said)

    def _stepped(self, name: str) -> None:
        now_s = stopwatch_s()
        self._done.steps.append((name, now_s - self._step_s))
        self._step_s = now_s
