"""What was deleted for good since a checkpoint was made: a restore would bring it back. The list is
a file of the namespaces' agent that is carried over from restore to restore.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError

from tandem.control.v1 import checkpoint_pb2 as checkpoint
from tandem.memory.v1 import deletion_pb2 as pb
from tandemkit.machine.checkpoints.shelf import sync_folder
from tandemkit.machine.home import Home, write_at_once
from tandemkit.storage.failure import Damaged

_FILE = "deletions.binpb"


def forgotten_since(home: Home, manifest: checkpoint.Checkpoint) -> list[pb.DeletionLog.Entry]:
    """Deletions that the checkpoint may know nothing of. Raises Damaged."""
    made_ns = manifest.time.ToNanoseconds()
    return [
        entry
        for _place, log in _logs(home.state)
        for entry in log.entries
        if entry.time.ToNanoseconds() >= made_ns
    ]


def carry_over(home: Home, new: Path) -> None:
    """Into what is about to take the place of `home.state`; done twice it is done once. Raises
    Damaged.
    """
    for place, log in _logs(home.state):
        target = new / place.relative_to(home.state)
        restored = {one.name: one for one in _read(target).entries}
        every = {**restored, **{one.name: one for one in log.entries}}.values()
        entries = sorted(every, key=lambda one: (one.time.ToNanoseconds(), one.name))
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_at_once(target, pb.DeletionLog(entries=entries).SerializeToString())
        sync_folder(target.parent)


def _logs(state: Path) -> Iterator[tuple[Path, pb.DeletionLog]]:
    for place in sorted(state.glob(f"*/{_FILE}")):
        yield place, _read(place)


def _read(place: Path) -> pb.DeletionLog:
    try:
        return pb.DeletionLog.FromString(place.read_bytes())
    except FileNotFoundError:
        return pb.DeletionLog()
    except DecodeError as error:
        raise Damaged("which deletions there were cannot be read", file=place) from error
