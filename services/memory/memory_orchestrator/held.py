"""Records as the store has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from services.memory.memory_orchestrator.place import Place
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.storage.state.protocol import StateStore


@dataclass(frozen=True, slots=True)
class Held:
    """A record, and the version that it has in the store: 0 where there is none."""

    record: nouns.MemoryRecord | None
    version: int


NOTHING = Held(None, 0)


async def held(store: StateStore, places: Sequence[Place]) -> dict[Place, Held]:
    """Those that are there, all of one moment."""
    stored = await store.found([place.key for place in places])
    return {
        place: Held(nouns.MemoryRecord.FromString(one.content), one.version)
        for place in places
        if (one := stored.get(place.key)) is not None
    }


def written(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)
