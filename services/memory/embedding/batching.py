"""Texts of all callers on their way to one embedder: what waits goes together, and equal texts go
once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tandemkit.core.errors import Failure
from tandemkit.ml.embedding.protocol import Embedded, Embedder, Lane, TextRefused
from tandemkit.reach.failure import Unreachable

# Of a batch, in characters that count: a few tenths of a second where a CPU computes it.
_BATCH_CHARS_MAX = 8000
# What a text counts besides its characters, and the most that it counts: the rest is cut off.
_TEXT_CHARS, _TEXT_CHARS_MAX = 50, 1500


class Full(Failure):
    """As many texts wait as may."""


@dataclass(slots=True, eq=False)
class Wanted:
    """A text that somebody waits for. Who gave up is not counted in `waiters`."""

    text: str
    answer: asyncio.Future[Embedded]
    is_kept: bool = False
    is_taken: bool = False
    waiters: int = 0


@dataclass(slots=True)
class _Queue:
    """What waits in one lane, call by call."""

    calls: deque[deque[Wanted]] = field(default_factory=deque)
    due: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, call: Iterable[Wanted]) -> None:
        if waiting := deque(call):
            self.calls.append(waiting)
            self.due.set()

    def take(self, count_max: int) -> list[Wanted]:
        """One text of each call in turn: a call with many delays no other by all of them."""
        batch: list[Wanted] = []
        chars = 0
        while self.calls and len(batch) < count_max and chars < _BATCH_CHARS_MAX:
            call = self.calls.popleft()
            one = call.popleft()
            if call:
                self.calls.append(call)
            if one.waiters and not one.is_taken:
                one.is_taken = True
                batch.append(one)
                chars += _TEXT_CHARS + min(len(one.text), _TEXT_CHARS_MAX)
        if not self.calls:
            self.due.clear()
        return batch


class Batching:
    """`computed` is told each vector that is to be kept, whoever waits for it still."""

    def __init__(
        self, embedder: Embedder, waiting_max: int, computed: Callable[[str, Embedded], None]
    ) -> None:
        self._embedder, self._waiting_max, self._computed = embedder, waiting_max, computed
        self._queues = {lane: _Queue() for lane in Lane}
        self._open: dict[str, Wanted] = {}
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """Texts that are computed, or wait to be."""
        return len(self._open)

    async def embed(self, texts: Sequence[str], lane: Lane, *, is_kept: bool) -> list[Embedded]:
        """Of texts that are all different. Raises Full, and what the embedder raises."""
        if self._is_closed:
            raise Unreachable("the embedder ended")
        if len(self._open) + sum(text not in self._open for text in texts) > self._waiting_max:
            raise Full("too many texts wait to be embedded", waiting=len(self._open))
        wanted = [self._joined(text) for text in texts]
        for one in wanted:
            one.waiters += 1
            one.is_kept |= is_kept
        # One that waits in the other lane waits in both, for whichever is sooner.
        self._queues[lane].add(one for one in wanted if not one.is_taken)
        try:
            await asyncio.wait([one.answer for one in wanted], return_when=asyncio.FIRST_EXCEPTION)
            return [one.answer.result() for one in wanted if one.answer.done()]
        finally:
            for one in wanted:
                self._leave(one)

    async def run(self, lane: Lane) -> None:
        """Embeds what waits in the lane, until cancelled."""
        queue = self._queues[lane]
        batch: list[Wanted] = []
        try:
            while True:
                await queue.due.wait()
                if batch := queue.take(self._embedder.batch_max):
                    await self._embed(batch, lane)
        finally:
            self._is_closed = True
            gone = Unreachable("the embedder ended")
            for one in (*batch, *self._open.values()):
                _fail(one, gone)

    async def _embed(self, batch: Sequence[Wanted], lane: Lane) -> None:
        try:
            found = await self._embedder.embed([one.text for one in batch], lane)
        except TextRefused as error:
            await self._embed_apart(batch, lane, error)
        except Failure as error:
            for one in batch:
                self._settled(one)
                _fail(one, error)
        else:
            for one, embedded in zip(batch, found, strict=True):
                self._settled(one)
                if one.is_kept:
                    self._computed(one.text, embedded)
                if not one.answer.done():
                    one.answer.set_result(embedded)

    async def _embed_apart(self, batch: Sequence[Wanted], lane: Lane, error: Failure) -> None:
        """One caller's text that is refused is no other's failure."""
        if len(batch) == 1:
            self._settled(batch[0])
            _fail(batch[0], error)
            return
        half = len(batch) // 2
        await self._embed(batch[:half], lane)
        await self._embed(batch[half:], lane)

    def _joined(self, text: str) -> Wanted:
        found = self._open.get(text)
        if found is None:
            found = Wanted(text, asyncio.get_running_loop().create_future())
            self._open[text] = found
        return found

    def _leave(self, one: Wanted) -> None:
        one.waiters -= 1
        if not one.waiters and not one.is_taken:
            self._settled(one)

    def _settled(self, one: Wanted) -> None:
        if self._open.get(one.text) is one:
            del self._open[one.text]


def _fail(one: Wanted, error: Failure) -> None:
    if not one.answer.done():
        one.answer.set_exception(error)
        # Whoever gave up does not ask, and asyncio would complain of it.
        one.answer.exception()
