"""Where the secrets of one fleet lie on one machine: the one place, in memory where there is such.

Below it `environment` holds what a launcher found in its own, `given` what was put in place by
hand, and `hosts` a folder for each host. docs/design/secrets.md.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tandemkit.secrecy import files

MEMORY = Path("/dev") / "shm"
_MOUNTS = Path("/proc/self/mounts")
_KEY_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Handed:
    """One value that was provided or given, and when; it shows itself to nobody."""

    folder: str
    name: str
    value: str = field(repr=False)
    time_ns: int


@dataclass(frozen=True, slots=True)
class Place:
    """Folders that only their user can enter."""

    folder: Path

    @classmethod
    def of(cls, home: Path, memory: Path = MEMORY) -> Place:
        """That of the fleet with this TANDEM_HOME: every process of the user finds the same one.
        Where no file system in memory can be had, or another user took the name, it is in the home.
        """
        own = memory / f"tandem-{os.geteuid()}"
        if _is_in_memory(memory) and os.access(memory, os.W_OK | os.X_OK) and _can_be_ours(own):
            key = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:_KEY_CHARACTERS]
            return cls(own / key)
        return cls(home / "run" / "secrets")

    @property
    def is_in_memory(self) -> bool:
        return _is_in_memory(self.folder)

    @property
    def environment(self) -> Path:
        """What the launcher's environment held."""
        return self.folder / "environment"

    @property
    def given(self) -> Path:
        """What somebody put in place by hand."""
        return self.folder / "given"

    def host(self, name: str) -> Path:
        """What a host was given; it is told this folder."""
        return self.folder / "hosts" / name

    def prepare(self) -> None:
        """Makes the folders that are not there. Raises PermissionError where somebody else has."""
        hosts = self.folder / "hosts"
        for folder in (self.folder.parent, self.folder, self.environment, self.given, hosts):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder == self.folder and not _is_of_this_user(folder):
                raise PermissionError(errno.EPERM, "another user made the place of secrets", folder)

    def provide(self, values: Mapping[str, str]) -> None:
        """What a launcher found in its environment. One that has not changed keeps its age."""
        self.prepare()
        for name, value in values.items():
            put(self.environment / name, value)

    def give(self, name: str, value: str) -> None:
        """By hand; it counts until the environment has a later one."""
        self.prepare()
        files.write(self.given / name, value)

    def handed(self) -> list[Handed]:
        """What was provided and given: for whoever ends the fleet only to start it again, with
        `hand`.
        """
        found = []
        for folder in (self.environment, self.given):
            # What a write that was killed has left has no name of a secret.
            for path in sorted(folder.glob("[a-z]*")):
                value = path.read_bytes().decode()
                found.append(Handed(folder.name, path.name, value, path.stat().st_mtime_ns))
        return found

    def hand(self, handed: Iterable[Handed]) -> None:
        """Puts it in place again, as old as it was, for the later one counts; where there was
        nothing nothing is made.
        """
        for one in handed:
            self.prepare()
            path = self.folder / one.folder / one.name
            files.write(path, one.value)
            os.utime(path, ns=(one.time_ns, one.time_ns))

    def lay(self, host: str, values: Mapping[str, str], declared: Collection[str]) -> list[str]:
        """Makes these the values of a host, and takes away what it needs no more; one that nobody
        knows now stays as it was. Returns the names of those that are new.
        """
        folder = self.host(host)
        if not folder.is_dir():
            self.prepare()
            folder.mkdir(mode=0o700, exist_ok=True)
        for path in folder.iterdir():
            if path.name not in declared:
                path.unlink(missing_ok=True)
        return [name for name, value in values.items() if put(folder / name, value)]

    def laid(self, name: str) -> list[Path]:
        """The files of that secret, one for each host that was given it."""
        return sorted((self.folder / "hosts").glob(f"*/{name}"))

    @property
    def account(self) -> dict[str, Any]:
        """What was told last of where each secret came from; it holds no value."""
        try:
            found = json.loads((self.folder / "account.json").read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def tell(self, account: Mapping[str, Any]) -> None:
        """For commands of other terminals."""
        self.prepare()
        files.write(self.folder / "account.json", json.dumps(account))

    def hurry(self) -> None:
        """Whoever keeps secrets here asks all providers anew, at once."""
        self.prepare()
        (self.folder / "hurry").touch(mode=0o600)
        os.utime(self.folder / "hurry")

    @property
    def hurried(self) -> files.Identity:
        """Another one with each call of `hurry`."""
        return files.identity(self.folder / "hurry")

    def forget(self) -> None:
        """There is no fleet here any more, and nothing is left of its secrets."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self.folder)
        with suppress(OSError):
            # Of several fleets the last one.
            if self.folder.parent.name == f"tandem-{os.geteuid()}":
                self.folder.parent.rmdir()


def put(path: Path, value: str) -> bool:
    """Writes it where the file holds something else, and returns whether it did."""
    try:
        if path.read_bytes() == value.encode() and not path.is_symlink():
            return False
    except OSError:
        pass
    files.write(path, value)
    return True


def _is_in_memory(folder: Path) -> bool:
    try:
        mounts = [line.split() for line in _MOUNTS.read_text().splitlines()]
    except OSError:
        return False
    above = {str(one) for one in (folder, *folder.parents)}
    within = [fields for fields in mounts if fields[1] in above]
    # The deepest, and of several in one place the last.
    kind = max(within, key=lambda fields: len(fields[1]), default=["", "", ""])[2]
    return kind == "tmpfs"


def _is_of_this_user(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _can_be_ours(folder: Path) -> bool:
    """Everybody may make folders there; one of another user's is never used."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return True
    is_private = not stat.S_IMODE(found.st_mode) & 0o077
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and is_private
