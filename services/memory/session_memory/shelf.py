"""Sessions in the agent's state, and those in memory that were used last.

A session is one record, its turns beside it by number, and a digest of the turns that made room.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager

from google.protobuf.message import Message

from services.memory.session_memory import refusal
from services.memory.session_memory.dialogue import Dialogue
from tandem.memory.v1.session_pb2 import SessionDigest, SessionRecord, Turn
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.protocol import CHANGES_MAX, Change
from tandemkit.supervise.named_turns import NamedTurns

_RECORD, _TURN, _DIGEST = "sessions/", "turns/", "digests/"
# What a session costs in memory beside its text.
_EACH_BYTES = 4096


class Shelf:
    """`records` are all sessions by name. Raises what the store raises."""

    def __init__(self, state: State, held_bytes_max: int) -> None:
        self._state, self._held_bytes_max = state, held_bytes_max
        self.records: dict[str, SessionRecord] = {}
        self._held: OrderedDict[str, Dialogue] = OrderedDict()
        self._turns = NamedTurns()
        # A write whose end is not known.
        self._unsure: set[str] = set()

    async def restore(self) -> None:
        """What an earlier life wrote."""
        async for key, record in self._state.all(_RECORD, SessionRecord):
            self.records[key.removeprefix(_RECORD)] = record

    def names(self, namespace: str) -> list[str]:
        """Of its sessions, in order."""
        prefix = f"namespaces/{namespace}/"
        return sorted(name for name in self.records if name.startswith(prefix))

    def perhaps(self, namespace: str) -> list[str]:
        """With those of which nobody knows yet whether they were written."""
        prefix = f"namespaces/{namespace}/"
        return sorted(name for name in {*self.records, *self._unsure} if name.startswith(prefix))

    def record(self, name: str) -> SessionRecord:
        """As it was written last. Raises CallerError."""
        found = self.records.get(name)
        if found is None:
            raise refusal.missing(name)
        return found

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[None]:
        """One at a time has a session; those who wait come in their order."""
        async with self._turns.of(name):
            if name in self._unsure:
                await self._look(name)
            yield

    async def dialogue(self, name: str) -> Dialogue:
        """Inside of `alone`: its turns, read where they are not held."""
        found = self._held.get(name)
        if found is None:
            digest = await self._state.get(_DIGEST + name, SessionDigest)
            turns = [turn async for _, turn in self._state.all(f"{_TURN}{name}/", Turn)]
            found = self._held[name] = Dialogue(turns, list(digest.sentences) if digest else [])
        self._held.move_to_end(name)
        self._let_go(name)
        return found

    async def append(self, name: str, record: SessionRecord, turn: Turn) -> None:
        """Both or none."""
        dialogue = await self.dialogue(name)
        changes = [_change(_RECORD + name, record), _change(_turn_key(name, turn.number), turn)]
        with self._writing(name):
            await self._state.store.write(changes)
        self.records[name] = record
        dialogue.add(turn)

    async def write(self, name: str, record: SessionRecord) -> None:
        """The record alone."""
        with self._writing(name):
            await self._state.put(_RECORD + name, record)
        self.records[name] = record

    async def remove(
        self, name: str, record: SessionRecord, numbers: Iterable[int], forgotten: SessionDigest
    ) -> None:
        """Turns, and what `forgotten` no longer has; the record follows with the last of them."""
        dialogue, left = await self.dialogue(name), list(numbers)
        last = [_change(_DIGEST + name, forgotten), _change(_RECORD + name, record)]
        while len(left) > CHANGES_MAX - len(last):
            part, left = left[:CHANGES_MAX], left[CHANGES_MAX:]
            await self._remove(name, dialogue, part, [])
        await self._remove(name, dialogue, left, last)
        dialogue.forgotten = list(forgotten.sentences)
        self.records[name] = record

    async def delete(self, name: str) -> None:
        """All of it, readable or not. One that is cut off in the middle has its record still, and
        is deleted the next time.
        """
        keys = [key async for key in self._state.keys(f"{_TURN}{name}/")]
        changes = [Change(key, None) for key in (*keys, _DIGEST + name, _RECORD + name)]
        with self._writing(name):
            for start in range(0, len(changes), CHANGES_MAX):
                await self._state.store.write(changes[start : start + CHANGES_MAX])
        self.records.pop(name, None)
        self._held.pop(name, None)

    async def scrub(self, *, thoroughly: bool = False) -> tuple[str, ...]:
        """What was deleted is in no file any more, but for what the sentences say."""
        return await self._state.scrub(thoroughly=thoroughly)

    async def _remove(
        self, name: str, dialogue: Dialogue, numbers: list[int], others: list[Change]
    ) -> None:
        changes = [Change(_turn_key(name, number), None) for number in numbers]
        with self._writing(name):
            await self._state.store.write([*changes, *others])
        dialogue.remove(numbers)

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        """What is in memory is true again once it was read, where a write did not end well."""
        self._unsure.add(name)
        yield
        self._unsure.discard(name)

    async def _look(self, name: str) -> None:
        record = await self._state.get(_RECORD + name, SessionRecord)
        self._held.pop(name, None)
        if record is None:
            self.records.pop(name, None)
        else:
            self.records[name] = record
        self._unsure.discard(name)

    def _let_go(self, kept: str) -> None:
        """Of those that nobody uses the ones that were used longest ago."""
        held = {name: self._size(name) for name in self._held}
        excess = sum(held.values()) - self._held_bytes_max
        for name, size in held.items():
            if excess > 0 and name != kept and not self._turns.is_taken(name):
                del self._held[name]
                excess -= size

    def _size(self, name: str) -> int:
        record = self.records.get(name)
        return _EACH_BYTES + (record.session.text_bytes if record else 0)


def _turn_key(name: str, number: int) -> str:
    return f"{_TURN}{name}/{number:012}"


def _change(key: str, message: Message) -> Change:
    return Change(key, message.SerializeToString(deterministic=True))
