"""Fills the folder of a checkpoint with copies of what a home holds, and its manifest with what
they are.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tandem.control.v1 import checkpoint_pb2 as pb
from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1.traffic_policy_pb2 import ChangeNote
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.machine.checkpoints.belongings import BESIDE, Belonging, belongings
from tandemkit.machine.checkpoints.copying import (
    compressed,
    copy_database,
    copy_stable,
    described,
    sync,
)
from tandemkit.machine.checkpoints.databases import at_rest, faults, head_of
from tandemkit.machine.checkpoints.journals import lost
from tandemkit.machine.checkpoints.moment import Moment, connected, one_moment
from tandemkit.machine.checkpoints.servers import Export, not_exported
from tandemkit.machine.checkpoints.shelf import FILES
from tandemkit.machine.home import Home
from tandemkit.storage.failure import Damaged

Tell = Callable[[str], None]


class Unreadable(Failure):
    """A store is locked, or this user may not read it; that says nothing of what it holds."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be made. With `damage` what is damaged is kept as it is, byte for byte; without,
    there is no checkpoint of it.
    """

    name: str
    kind: pb.CheckpointKind.ValueType
    note: ChangeNote
    build: pb.CheckpointBuild
    wanted: nouns.WantedMachine | None = None
    compress: bool = False
    damage: bool = False
    # Of what the fleet keeps in servers.
    exports: Sequence[Export] = ()


class Filling:
    """Of one checkpoint in the making; `tell` hears what is being copied."""

    def __init__(self, home: Home, wish: Wish, folder: Path, tell: Tell) -> None:
        self._home, self._wish, self._folder, self._tell = home, wish, folder, tell
        self.manifest = pb.Checkpoint()
        # Why a database cannot be copied as one, by its path.
        self._damaged: dict[str, str] = {}

    def fill(self, clock: Clock) -> None:
        """Raises Damaged, Unreadable, Busy, Unstable, Unnameable, and what exports
        raise.
        """
        found = belongings(self._home)
        for path, why in found.omitted.items():
            self.manifest.omissions.add(path=path, why=why)
        for said in not_exported(self._wish.wanted):
            self.manifest.omissions.add(why=said)
        exported = [self._exported(one) for one in self._wish.exports if one.is_first]
        self._look_at(found.databases)
        well = [one for one in found.databases if one.path not in self._damaged]
        with one_moment([self._home.folder / one.path for one in well]) as moment:
            self.manifest.time.FromDatetime(clock.now())
            self.manifest.pause.FromNanoseconds(int(moment.pause_s * 1e9))
            for one in well:
                self._copy(one, moment)
        # Behind the moment: what a row speaks of is there, unless it was taken away meanwhile.
        for one in found.others:
            self._copy_other(one)
        for one in found.databases:
            if one.path in self._damaged:
                self._copy_raw(one)
        exported += [self._exported(one) for one in self._wish.exports if not one.is_first]
        self._describe([*found.databases, *found.others, *exported])

    def _look_at(self, databases: list[Belonging]) -> None:
        """What cannot even be opened would spoil the moment of all others."""
        for one in databases:
            if why := lost(self._home.folder / one.path):
                self._note_damage(one.path, why)
                continue
            try:
                with connected(self._home.folder / one.path) as database:
                    database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError) and not self._wish.damage:
                    said = {"file": one.path, "cause": str(error)}
                    raise Unreadable("a store cannot be read now", **said) from error
                self._note_damage(one.path, str(error))

    def _exported(self, one: Export) -> Belonging:
        self._tell(one.title)
        place = self._place(one.path)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # This is a thread of its own, without a loop.
        asyncio.run(one.write(place))
        place.chmod(0o600)
        sync(place)
        return Belonging(one.path, place.stat(), is_database=True)

    def _copy(self, one: Belonging, moment: Moment) -> None:
        self._tell(one.path)
        try:
            copy_database(moment.readers[self._home.folder / one.path], self._place(one.path))
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise
            self._damaged[one.path] = str(error)
            self._place(one.path).unlink(missing_ok=True)

    def _copy_other(self, one: Belonging) -> None:
        source, target = self._home.folder / one.path, self._place(one.path)
        try:
            if one.is_folder:
                target.mkdir(mode=0o700, parents=True, exist_ok=True)
            elif one.is_link:
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                target.symlink_to(source.readlink())
            else:
                self._tell(one.path)
                copy_stable(source, target)
        except FileNotFoundError:
            target.unlink(missing_ok=True)
            self.manifest.omissions.add(path=one.path, why="went away meanwhile")

    def _copy_raw(self, one: Belonging) -> None:
        """A damaged one with what lies beside it: somebody may get something out of it."""
        for end in ("", *BESIDE):
            source = self._home.folder / f"{one.path}{end}"
            if source.exists():
                copy_stable(source, self._place(f"{one.path}{end}"))

    def _describe(self, found: list[Belonging]) -> None:
        gone = {one.path for one in self.manifest.omissions}
        for one in sorted(found, key=lambda one: one.path):
            if one.path in gone:
                continue
            copy = self._place(one.path)
            said = described(one, copy)
            if one.is_database:
                self._check(said)
                for end in BESIDE:
                    beside = self._place(f"{one.path}{end}")
                    if beside.exists():
                        self.manifest.files.append(_beside(one, end, beside))
            if self._wish.compress and said.size:
                said.compressed = compressed(copy)
            self.manifest.files.append(said)

    def _check(self, said: pb.CheckpointFile) -> None:
        damage = self._damaged.get(said.path) or said.damage
        if not damage:
            with at_rest(self._place(said.path)) as database:
                damage = next(faults(database, _anything, None), "")
                if not damage and (head := head_of(database)) is not None:
                    self.manifest.events.position = head.position
                    self.manifest.events.digest = head.digest
        if damage:
            said.damage = damage
            self._note_damage(said.path, damage)

    def _place(self, path: str) -> Path:
        return self._folder / FILES / path

    def _note_damage(self, path: str, why: str) -> None:
        if not self._wish.damage:
            raise Damaged("a store is damaged, so nothing is made of it", file=path, cause=why)
        self._damaged[path] = why


def _beside(one: Belonging, end: str, copy: Path) -> pb.CheckpointFile:
    said = described(Belonging(f"{one.path}{end}", copy.stat()), copy)
    said.damage = "lay beside a damaged database"
    return said


def _anything(_schema: str, _content: bytes) -> None:
    """Contents are for `verify`, which knows the contracts."""
