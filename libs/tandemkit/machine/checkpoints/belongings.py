"""What of a home belongs into a checkpoint: everything below `state` and `events` by rule, so that
an agent that is made tomorrow is in it. docs/design/checkpoints.md has the rules in words.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tandemkit.core.errors import Failure
from tandemkit.machine.home import Home

_MAGIC = b"SQLite format 3\0"
# What SQLite keeps beside a database; all that counts of it is in the copy.
BESIDE = ("-wal", "-shm", "-journal")
# `.db` is others' too: bbolt's, say, which is copied like any file.
_NAMED_AS_DATABASE = re.compile(r".*\.(sqlite3?|outbox)")
# Of files in an agent's own folder, not of those in folders below, whose names are the agent's or
# its callers' to choose.
_OMITTED = (
    (re.compile(r"lock|.*\.lock"), "a lock"),
    (re.compile(r"workers\.log(\.1)?"), "a log"),
    (re.compile(r"leases\.sqlite"), "who is alive is found out anew"),
    (re.compile(r".*\.damaged"), "was damaged, and put aside"),
    (re.compile(r".*\.new"), "half of a write"),
)
ROOTS = ("state", "events")
_DEPTH_OF_RULES = {"state": 3, "events": 2}


class Unnameable(Failure):
    """A file's name is no text, so no list can have it."""


@dataclass(frozen=True, slots=True)
class Belonging:
    """One path below the home. `look` is as it was found."""

    path: str
    look: os.stat_result
    is_database: bool = False

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.look.st_mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.look.st_mode)


@dataclass
class Belongings:
    """All of a home, in the order of their paths; and what is left out, with the reason."""

    held: list[Belonging] = field(default_factory=list)
    omitted: dict[str, str] = field(default_factory=dict)

    @property
    def databases(self) -> list[Belonging]:
        return [one for one in self.held if one.is_database]

    @property
    def others(self) -> list[Belonging]:
        return [one for one in self.held if not one.is_database]

    @property
    def size(self) -> int:
        """In bytes, with what stands in journals."""
        return sum(one.look.st_size for one in self.held if not one.is_folder)


def belongings(home: Home) -> Belongings:
    """As it is now. What goes away while it is looked at is not in it. Raises Unnameable."""
    found = Belongings()
    for root in ROOTS:
        _collect(home.folder, root, found)
    return found


def _collect(home: Path, path: str, found: Belongings) -> None:
    for entry in _entries(home / path):
        below = f"{path}/{entry.name}"
        try:
            below.encode()
        except UnicodeEncodeError as error:
            raise Unnameable(
                "a file's name is no UTF-8: rename it", file=repr(os.fsencode(below))
            ) from error
        if why := _omission(home, below, entry):
            if why != _BESIDE:
                found.omitted[below] = why
            continue
        look = entry.stat(follow_symlinks=False)
        is_file = stat.S_ISREG(look.st_mode)
        found.held.append(Belonging(below, look, is_file and is_database(home / below)))
        if stat.S_ISDIR(look.st_mode):
            _collect(home, below, found)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return


_BESIDE = "beside its database"


def _omission(home: Path, path: str, entry: os.DirEntry[str]) -> str:
    """Why it is left out; empty where it belongs."""
    parts = path.split("/")
    if not entry.is_dir(follow_symlinks=False) and not entry.is_symlink():
        if not entry.is_file(follow_symlinks=False):
            return "neither a file nor a folder"
        for end in BESIDE:
            if path.endswith(end) and is_database(home / path.removesuffix(end)):
                return _BESIDE
        if len(parts) <= _DEPTH_OF_RULES[parts[0]]:
            return next((why for name, why in _OMITTED if name.fullmatch(parts[-1])), "")
    return ""


def is_database(path: Path) -> bool:
    """By its first bytes; one whose first bytes are damaged, by its name or by what lies beside it.

    Not to be asked of one that this process has open: closing any descriptor of a file ends all
    locks that SQLite holds on it.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) == _MAGIC:
                return True
    except OSError:
        return False
    if path.name.endswith(BESIDE):
        return False
    has_journal = any(path.with_name(path.name + end).exists() for end in BESIDE)
    return has_journal or _NAMED_AS_DATABASE.fullmatch(path.name) is not None
