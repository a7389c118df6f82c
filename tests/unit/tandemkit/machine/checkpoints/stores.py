"""A home with stores as agents leave them there, and what is asked of checkpoints of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tandem.control.v1 import checkpoint_pb2 as pb
from tandem.control.v1.traffic_policy_pb2 import ChangeNote
from tandemkit.core.clock import SystemClock
from tandemkit.machine.checkpoints.checking import Checker, Fault
from tandemkit.machine.checkpoints.filling import Wish
from tandemkit.machine.checkpoints.shelf import Kept
from tandemkit.machine.checkpoints.taking import Taking
from tandemkit.machine.home import Home
from tandemkit.storage.events.protocol import NewEvent
from tandemkit.storage.events.sqlite import sqlite_events

NUMBERS, EVENTS = "state/trial-numbers/state.sqlite", "state/trial-events/events.sqlite"
NOTE = ChangeNote(author="ana", reason="trying")
_SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS numbers (number INTEGER PRIMARY KEY, said TEXT NOT NULL) STRICT;
"""


async def home_with_stores(folder: Path) -> Home:
    """Databases with journals beside them, and all that lies around such."""
    home = Home(folder / "home")
    home.prepare()
    numbers = home.folder / NUMBERS
    numbers.parent.mkdir()
    add(numbers, range(1, 101))
    (home.folder / EVENTS).parent.mkdir()
    async with sqlite_events(home.folder / EVENTS, SystemClock()) as store:
        events = [NewEvent(f"e-{one}", "tandem.trial.v1.Told", b"x" * 90) for one in range(40)]
        await store.append("trials/told", events)
    plain = home.state / "trial-files"
    (plain / "below" / "empty").mkdir(parents=True)
    (plain / "config.copy").write_bytes(b"as it was told")
    (plain / "below" / "long").write_bytes(bytes(range(256)) * 8192)
    (plain / "below" / "daily.lock").write_bytes(b"a caller's own name")
    (plain / "below" / "link").symlink_to("long")
    (plain / "run.lock").touch()
    (plain / "workers.log").write_bytes(b"nobody wants it back")
    return home


def add(path: Path, numbers: range) -> None:
    with opened(path) as database:
        rows = [(one, f"number {one}") for one in numbers]
        database.executemany("INSERT INTO numbers VALUES (?, ?)", rows)


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Each statement is a transaction. The journal stays: nothing is written back on the way."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript(_SCHEMA)
        database.execute("PRAGMA wal_autocheckpoint = 0")
        yield database


def numbers_in(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as database:
        return [one for (one,) in database.execute("SELECT number FROM numbers ORDER BY number")]


def taken(home: Home, name: str = "kept", *, compress: bool = False, damage: bool = False) -> Kept:
    build = pb.CheckpointBuild(kit="1.0+a")
    kind = pb.CHECKPOINT_KIND_ASKED
    wish = Wish(name, kind, NOTE, build, compress=compress, damage=damage)
    return Taking(home, SystemClock(), lambda _: None).take(wish)


def faults_in(kept: Kept) -> list[Fault]:
    """None of the schemas is known."""
    return list(Checker(lambda _schema, _content: None, lambda _: None).checkpoint(kept))


def flip(path: Path, bit: int) -> None:
    """One bit of a file."""
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
