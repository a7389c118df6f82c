"""Makes a checkpoint of a home, whether or not a fleet runs in it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tandem.control.v1 import checkpoint_pb2 as pb
from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1.traffic_policy_pb2 import ChangeNote
from tandemkit.core.clock import Clock
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
from tandemkit.machine.checkpoints.room import check_room, room
from tandemkit.machine.checkpoints.servers import Export, not_exported
from tandemkit.machine.checkpoints.shelf import FILES, FORMAT, Kept, Shelf, sync_tree
from tandemkit.machine.home import Home
from tandemkit.storage.failure import Damaged

_MACHINE = "control-machine-"
Tell = Callable[[str], None]


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


@dataclass
class _Making:
    """One that is being made."""

    folder: Path
    manifest: pb.Checkpoint
    # Why a database cannot be copied as one, by its path.
    damaged: dict[str, str] = field(default_factory=dict)

    def place(self, path: str) -> Path:
        return self.folder / FILES / path


class Taking:
    """`tell` hears what is being done, a few words at a time."""

    def __init__(self, home: Home, clock: Clock, tell: Tell) -> None:
        self._home, self._clock, self._tell = home, clock, tell
        self._shelf = Shelf(home)

    def take(self, wish: Wish) -> Kept:
        """On disk as a whole when it returns. Whoever calls holds the shelf alone. Raises
        NameTaken, NoRoom, Damaged, Busy, Unstable, Unnameable, and what exports raise.
        """
        self._shelf.check_free(wish.name)
        check_room(self._home, belongings(self._home).size)
        folder = self._shelf.begun(wish.name)
        try:
            with room(self._home):
                making = _Making(folder, self._manifest(wish))
                self._fill(making, wish)
                sync_tree(folder)
                return self._shelf.finish(folder, making.manifest)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _manifest(self, wish: Wish) -> pb.Checkpoint:
        return pb.Checkpoint(
            name=wish.name,
            kind=wish.kind,
            format=FORMAT,
            note=wish.note,
            machine=machine_of(self._home),
            build=wish.build,
            wanted=wish.wanted,
        )

    def _fill(self, making: _Making, wish: Wish) -> None:
        found = belongings(self._home)
        for path, why in found.omitted.items():
            making.manifest.omissions.add(path=path, why=why)
        for said in not_exported(wish.wanted):
            making.manifest.omissions.add(why=said)
        exported = [self._exported(one, making) for one in wish.exports if one.is_first]
        self._look_at(found.databases, making, wish)
        well = [one for one in found.databases if one.path not in making.damaged]
        with one_moment([self._home.folder / one.path for one in well]) as moment:
            making.manifest.time.FromDatetime(self._clock.now())
            making.manifest.pause.FromNanoseconds(int(moment.pause_s * 1e9))
            for one in well:
                self._copy(one, moment, making)
        # Behind the moment: what a row speaks of is there, unless it was taken away meanwhile.
        for one in found.others:
            self._copy_other(one, making)
        for one in found.databases:
            if one.path in making.damaged:
                self._copy_raw(one, making)
        exported += [self._exported(one, making) for one in wish.exports if not one.is_first]
        self._describe([*found.databases, *found.others, *exported], making, wish)

    def _look_at(self, databases: list[Belonging], making: _Making, wish: Wish) -> None:
        """What cannot even be opened would spoil the moment of all others."""
        for one in databases:
            if why := lost(self._home.folder / one.path):
                self._note_damage(one.path, why, making, wish)
                continue
            try:
                with connected(self._home.folder / one.path) as database:
                    database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError) and not wish.damage:
                    raise
                self._note_damage(one.path, str(error), making, wish)

    def _exported(self, one: Export, making: _Making) -> Belonging:
        self._tell(one.title)
        place = making.place(one.path)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # This is a thread of its own, without a loop.
        asyncio.run(one.write(place))
        place.chmod(0o600)
        sync(place)
        return Belonging(one.path, place.stat(), is_database=True)

    def _copy(self, one: Belonging, moment: Moment, making: _Making) -> None:
        self._tell(one.path)
        try:
            copy_database(moment.readers[self._home.folder / one.path], making.place(one.path))
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise
            making.damaged[one.path] = str(error)
            making.place(one.path).unlink(missing_ok=True)

    def _copy_other(self, one: Belonging, making: _Making) -> None:
        source, target = self._home.folder / one.path, making.place(one.path)
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
            making.manifest.omissions.add(path=one.path, why="went away meanwhile")

    def _copy_raw(self, one: Belonging, making: _Making) -> None:
        """A damaged one with what lies beside it: somebody may get something out of it."""
        for end in ("", *BESIDE):
            source = self._home.folder / f"{one.path}{end}"
            if source.exists():
                copy_stable(source, making.place(f"{one.path}{end}"))

    def _describe(self, found: list[Belonging], making: _Making, wish: Wish) -> None:
        gone = {one.path for one in making.manifest.omissions}
        for one in sorted(found, key=lambda one: one.path):
            if one.path in gone:
                continue
            copy = making.place(one.path)
            said = described(one, copy)
            if one.is_database:
                self._check(said, making, wish)
                for end in BESIDE:
                    beside = making.place(f"{one.path}{end}")
                    if beside.exists():
                        making.manifest.files.append(_beside(one, end, beside))
            if wish.compress and said.size:
                said.compressed = compressed(copy)
            making.manifest.files.append(said)

    def _check(self, said: pb.CheckpointFile, making: _Making, wish: Wish) -> None:
        damage = making.damaged.get(said.path) or said.damage
        if not damage:
            with at_rest(making.place(said.path)) as database:
                damage = next(faults(database, _anything, None), "")
                if not damage and (head := head_of(database)) is not None:
                    making.manifest.events.position = head.position
                    making.manifest.events.digest = head.digest
        if damage:
            said.damage = damage
            self._note_damage(said.path, damage, making, wish)

    def _note_damage(self, path: str, why: str, making: _Making, wish: Wish) -> None:
        if not wish.damage:
            raise Damaged("a store is damaged, so nothing is made of it", file=path, cause=why)
        making.damaged[path] = why


def machine_of(home: Home) -> str:
    """What this machine was called in its last fleet; empty where none ran here."""
    wanted = home.wanted
    if wanted is not None:
        return wanted.machine
    folders = sorted(home.state.glob(f"{_MACHINE}*"), key=lambda one: one.stat().st_mtime_ns)
    return folders[-1].name.removeprefix(_MACHINE) if folders else ""


def _beside(one: Belonging, end: str, copy: Path) -> pb.CheckpointFile:
    said = described(Belonging(f"{one.path}{end}", copy.stat()), copy)
    said.damage = "lay beside a damaged database"
    return said


def _anything(_schema: str, _content: bytes) -> None:
    """Contents are for `verify`, which knows the contracts."""
