"""State as an agent uses it: one value at a time, or several at once, by key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from tandemkit.storage.failure import Damaged
from tandemkit.storage.state.protocol import Change, StateStore, VersionConflict

Kept = TypeVar("Kept", bound=Message)


class State:
    """Protobuf messages in a store of state. Raises what the store raises, and Damaged for a value
    that is no such message.
    """

    def __init__(self, store: StateStore) -> None:
        self.store = store

    async def check(self) -> None:
        """Raises what keeps it from being read."""
        await self.store.entries(limit=1)

    async def get(self, key: str, kind: type[Kept]) -> Kept | None:
        """The message as last written; None where there is none."""
        found = await self.store.get(key)
        return _message(key, found.content, kind) if found else None

    async def put(self, key: str, message: Message) -> int:
        """Over whatever was there; returns the version."""
        return await self.store.write([Change(key, _bytes(message))])

    async def delete(self, key: str) -> None:
        """Harmless where there is none."""
        await self.store.write([Change(key, None)])

    async def change(self, key: str, kind: type[Kept], edit: Callable[[Kept], None]) -> Kept:
        """Applies `edit` to the message, or to an empty one, as if nobody wrote at the same time:
        where somebody did, it is applied again to what they wrote.
        """
        while True:
            found = await self.store.get(key)
            message = _message(key, found.content, kind) if found else kind()
            edit(message)
            expected = found.version if found else 0
            try:
                await self.store.write([Change(key, _bytes(message), expected)])
            except VersionConflict:
                continue
            return message

    async def scrub(self, *, thoroughly: bool = False, upto: int | None = None) -> tuple[str, ...]:
        """What was deleted or replaced so far is in no file of the store any more, but for what the
        sentences say; `thoroughly` and `upto` as the store says.
        """
        return await self.store.scrub(thoroughly=thoroughly, upto=upto)

    async def all(self, prefix: str, kind: type[Kept]) -> AsyncIterator[tuple[str, Kept]]:
        """Keys that begin so, in their order; what changes meanwhile may be seen or not."""
        after = ""
        while page := await self.store.entries(prefix, after):
            for entry in page:
                yield entry.key, _message(entry.key, entry.stored.content, kind)
                after = entry.key

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        """The same keys, whatever is behind them."""
        after = ""
        while page := await self.store.entries(prefix, after):
            for entry in page:
                yield entry.key
            after = page[-1].key


def _message(key: str, content: bytes, kind: type[Kept]) -> Kept:
    try:
        return kind.FromString(content)
    except DecodeError as error:
        name = kind.DESCRIPTOR.full_name
        raise Damaged("what is stored is no such message", key=key, kind=name) from error


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)
