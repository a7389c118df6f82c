"""A checkpoint as commands make one: verified, told as an event, and older ones thinned out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tandem.control.v1.machine_event_pb2 import CheckpointTaken
from tandemkit.cli.checkpoint_events import unrecorded
from tandemkit.cli.shelving import made
from tandemkit.core.clock import stopwatch_s
from tandemkit.machine.checkpoints.filling import Wish
from tandemkit.machine.checkpoints.shelf import Kept, Shelf
from tandemkit.machine.home import Home


@dataclass(frozen=True, slots=True)
class Made:
    """`unrecorded` is why there is no event of it; empty where there is."""

    kept: Kept
    took_s: float
    unrecorded: str
    deleted: Sequence[str]


async def checkpointed(home: Home, wish: Wish, keep: int | None = None) -> Made:
    """Whoever calls holds the shelf alone. Of its kind the latest `keep` stay, if said."""
    began_s = stopwatch_s()
    kept = await made(home, wish)
    shelf = Shelf(home)
    kept = shelf.kept(kept.name)
    deleted = shelf.thin(wish.kind, keep) if keep else []
    took_s = stopwatch_s() - began_s
    manifest = kept.manifest
    said = CheckpointTaken(
        name=kept.name,
        kind=manifest.kind,
        files=len(manifest.files),
        size=kept.size,
        position=manifest.events.position,
    )
    said.duration.FromNanoseconds(int(took_s * 1e9))
    return Made(kept, took_s, await unrecorded(home, wish.note, said), deleted)
