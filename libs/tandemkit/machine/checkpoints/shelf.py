"""The checkpoints of a home: a folder each, which is there wholly or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError

from tandem.control.v1 import checkpoint_pb2 as pb
from tandemkit.core.errors import Failure
from tandemkit.core.lock import alone
from tandemkit.machine.home import Home, write_at_once

FORMAT = 1
FILES = "files"
LAST_STABLE = "last-stable"
_MANIFEST, _SUM, _STABLE = "manifest.binpb", "manifest.sha256", "verified"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_UNFINISHED = ".making-"


class NoSuchCheckpoint(Failure):
    """There is none of that name."""


class NameTaken(Failure):
    """There is one of that name already, or it is no name."""


class ManifestDamaged(Failure):
    """The manifest is not what was written, so nothing that it says can be trusted."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint on the shelf. One is stable once it was verified, and stays so until a look at
    it finds a fault; what was there before a restore is not what anybody wants back by itself.
    """

    folder: Path
    manifest: pb.Checkpoint
    verified_at: str

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def files(self) -> Path:
        return self.folder / FILES

    @property
    def is_stable(self) -> bool:
        is_aside = self.manifest.kind == pb.CHECKPOINT_KIND_BEFORE_RESTORE
        return bool(self.verified_at) and not is_aside

    @property
    def size(self) -> int:
        """In bytes, as its files are in a home."""
        return sum(one.size for one in self.manifest.files)

    def say_verified(self, moment: str) -> None:
        """Empty: it is not, or no longer."""
        if moment:
            write_at_once(self.folder / _STABLE, moment.encode())
        else:
            (self.folder / _STABLE).unlink(missing_ok=True)


class Shelf:
    """Below one home."""

    def __init__(self, home: Home) -> None:
        self.folder = home.folder / "checkpoints"

    def alone(self) -> AbstractContextManager[None]:
        """While nobody else makes, restores or deletes one. Raises InUse."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return alone(self.folder / "lock")

    def all(self) -> list[Kept]:
        """Those that can be read, the oldest first."""
        kept = []
        for name in self.names():
            with suppress(Failure):
                kept.append(self.kept(name))
        return sorted(kept, key=lambda one: one.manifest.time.ToNanoseconds())

    def names(self) -> list[str]:
        """Of all, also of those whose manifest is damaged."""
        try:
            entries = sorted(self.folder.iterdir())
        except FileNotFoundError:
            return []
        return [one.name for one in entries if one.is_dir() and _NAME.fullmatch(one.name)]

    def kept(self, name: str) -> Kept:
        """Raises NoSuchCheckpoint, ManifestDamaged. `last-stable` is the last one that is."""
        if name == LAST_STABLE:
            return self.last_stable()
        folder = self.folder / name
        if not _NAME.fullmatch(name) or not folder.is_dir():
            raise NoSuchCheckpoint("there is no checkpoint of that name", name=name)
        manifest = _read(folder)
        try:
            verified_at = (folder / _STABLE).read_text()
        except FileNotFoundError:
            verified_at = ""
        return Kept(folder, manifest, verified_at)

    def last_stable(self) -> Kept:
        """The latest that was verified. Raises NoSuchCheckpoint."""
        stable = [one for one in self.all() if one.is_stable]
        if not stable:
            raise NoSuchCheckpoint("no checkpoint was verified yet", name=LAST_STABLE)
        return stable[-1]

    def check_free(self, name: str) -> None:
        """Raises NameTaken."""
        if name == LAST_STABLE or not _NAME.fullmatch(name):
            raise NameTaken("it is no name for a checkpoint", name=name)
        if (self.folder / name).exists():
            raise NameTaken("there is a checkpoint of that name already", name=name)

    def begun(self, name: str) -> Path:
        """An empty folder to make one in. Who holds the shelf alone finds the remains of whoever
        was killed, and takes them away.
        """
        for left in self.folder.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        folder = self.folder / f"{_UNFINISHED}{name}"
        (folder / FILES).mkdir(mode=0o700, parents=True)
        return folder

    def finish(self, folder: Path, manifest: pb.Checkpoint) -> Kept:
        """From here on it is there. Its files are on disk already."""
        content = manifest.SerializeToString(deterministic=True)
        for path, told in (
            (folder / _MANIFEST, content),
            # As sha256sum writes and checks it.
            (folder / _SUM, f"{hashlib.sha256(content).hexdigest()}  {_MANIFEST}\n".encode()),
        ):
            with path.open("wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(told)
                file.flush()
                os.fsync(file.fileno())
        sync_folder(folder)
        place = folder.with_name(manifest.name)
        folder.rename(place)
        sync_folder(self.folder)
        return Kept(place, manifest, "")

    def delete(self, name: str) -> None:
        """Raises NoSuchCheckpoint."""
        folder = self.folder / name
        if not _NAME.fullmatch(name) or not folder.is_dir():
            raise NoSuchCheckpoint("there is no checkpoint of that name", name=name)
        going = folder.with_name(f"{_UNFINISHED}{name}.gone")
        # In one step: half of one would be found damaged.
        folder.rename(going)
        shutil.rmtree(going)

    def thin(self, kind: pb.CheckpointKind.ValueType, keep: int) -> list[str]:
        """Deletes all of a kind but the latest; never the last stable one. Returns which."""
        of_kind = [one for one in self.all() if one.manifest.kind == kind]
        stable = [one.name for one in self.all() if one.is_stable][-1:]
        gone = [one.name for one in of_kind[: max(0, len(of_kind) - keep)]]
        gone = [name for name in gone if name not in stable]
        for name in gone:
            self.delete(name)
        return gone


def sync_folder(folder: Path) -> None:
    """Returns once the disk knows which names it holds."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """The same, of all folders below."""
    for place, _, _ in os.walk(folder):
        sync_folder(Path(place))


def _read(folder: Path) -> pb.Checkpoint:
    said = {"file": f"{folder.name}/{_MANIFEST}"}
    try:
        content = (folder / _MANIFEST).read_bytes()
        written = (folder / _SUM).read_text().partition(" ")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestDamaged("the manifest cannot be read", **said) from error
    if hashlib.sha256(content).hexdigest() != written:
        raise ManifestDamaged("the manifest is not what was written", **said)
    try:
        manifest = pb.Checkpoint.FromString(content)
    except DecodeError as error:
        raise ManifestDamaged("the manifest is no manifest", **said) from error
    if manifest.format > FORMAT:
        message = "the checkpoint is of a newer release, which has to read it"
        raise ManifestDamaged(message, format=manifest.format, **said)
    return manifest
