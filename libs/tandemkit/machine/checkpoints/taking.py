"""Makes a checkpoint of a home, whether or not a fleet runs in it."""

from __future__ import annotations

import shutil
import sqlite3

from tandem.control.v1 import checkpoint_pb2 as pb
from tandemkit.core.clock import Clock
from tandemkit.machine.checkpoints.belongings import belongings
from tandemkit.machine.checkpoints.filling import Filling, Tell, Unreadable, Wish
from tandemkit.machine.checkpoints.room import check_room, room
from tandemkit.machine.checkpoints.shelf import FORMAT, Kept, Shelf, sync_tree
from tandemkit.machine.home import Home

_MACHINE = "control-machine-"


class Taking:
    """`tell` hears what is being done, a few words at a time."""

    def __init__(self, home: Home, clock: Clock, tell: Tell) -> None:
        self._home, self._clock, self._tell = home, clock, tell
        self._shelf = Shelf(home)

    def take(self, wish: Wish) -> Kept:
        """On disk as a whole when it returns. Whoever calls holds the shelf alone. Raises
        NameTaken, NoRoom, and what `Filling.fill` raises.
        """
        self._shelf.check_free(wish.name)
        check_room(self._home, belongings(self._home).size)
        folder = self._shelf.begun(wish.name)
        try:
            with room(self._home):
                filling = Filling(self._home, wish, folder, self._tell)
                filling.fill(self._clock)
                filling.manifest.MergeFrom(self._manifest(wish))
                sync_tree(folder)
                return self._shelf.finish(folder, filling.manifest)
        except sqlite3.Error as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise Unreadable("a store cannot be read now", cause=str(error)) from error
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _manifest(self, wish: Wish) -> pb.Checkpoint:
        """What is known before anything is copied."""
        return pb.Checkpoint(
            name=wish.name,
            kind=wish.kind,
            format=FORMAT,
            note=wish.note,
            machine=machine_of(self._home),
            build=wish.build,
            wanted=wish.wanted,
        )


def machine_of(home: Home) -> str:
    """What this machine was called in its last fleet; empty where none ran here."""
    wanted = home.wanted
    if wanted is not None:
        return wanted.machine
    folders = sorted(home.state.glob(f"{_MACHINE}*"), key=lambda one: one.stat().st_mtime_ns)
    return folders[-1].name.removeprefix(_MACHINE) if folders else ""
