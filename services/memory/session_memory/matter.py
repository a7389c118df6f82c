"""What sessions have about a subject, or in a namespace."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final, TypeAlias

from services.memory.session_memory.records import turn_digest, with_only
from services.memory.session_memory.shelf import Shelf
from tandem.memory.v1.session_pb2 import DigestSentence, SessionDigest, Turn

IsAbout: TypeAlias = Callable[[Turn | DigestSentence], bool]
_DELETED_MAX: Final = 1000


class Matter:
    """Raises what the store raises."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def forget(self, namespace: str, is_about: IsAbout) -> int:
        """Deletes turns, and says how many there were."""
        count = 0
        for name in self._shelf.perhaps(namespace):
            async with self._shelf.alone(name):
                if name in self._shelf.records:
                    count += await self._forget(name, is_about)
        return count

    async def turns(self, namespace: str, is_about: IsAbout) -> AsyncIterator[tuple[str, Turn]]:
        """With the names of their sessions."""
        for name in self._shelf.perhaps(namespace):
            async with self._shelf.alone(name):
                dialogue = await self._shelf.dialogue(name)
                found = [dialogue.turns[one] for one in dialogue.about(is_about)]
            for turn in found:
                yield name, turn

    async def _forget(self, name: str, is_about: IsAbout) -> int:
        dialogue = await self._shelf.dialogue(name)
        going = [dialogue.turns[number] for number in dialogue.about(is_about)]
        kept = [one for one in dialogue.forgotten if not is_about(one)]
        if not going and len(kept) == len(dialogue.forgotten):
            return 0
        count = len(going) + len(dialogue.forgotten) - len(kept)
        numbers = [turn.number for turn in going]
        record = with_only(self._shelf.record(name), dialogue.but(numbers))
        known = [*record.deleted_turns, *(turn_digest(turn.turn_id) for turn in going)]
        record.deleted_turns[:] = known[-_DELETED_MAX:]
        await self._shelf.remove(name, record, numbers, SessionDigest(sentences=kept))
        return count
