"""Indices that follow the store: each question is asked of them behind every write that was
acknowledged before it came, whichever replica took it.

Nothing polls: who asks has the changes fetched first, and questions that wait share that.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from services.memory.memory_orchestrator.attention import Attention
from services.memory.memory_orchestrator.place import MEMORIES, Place
from services.memory.memory_orchestrator.question import Answer, Question
from services.memory.memory_orchestrator.strength import Fading
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.storage.group_commit import GroupCommit
from tandemkit.storage.state.protocol import Changed, Forgotten, StateStore
from tandemkit.storage.vectors.protocol import Space
from tandemkit.supervise.in_threads import to_its_end

if TYPE_CHECKING:
    from services.memory.memory_orchestrator.index import Index

# Beyond that the work is done in a thread, and the loop goes on.
_INLINE_CHANGES: Final = 16
_INLINE_MEMORIES: Final = 2000
# So many questions share one multiplication: their likenesses to a block fit into the cache.
_QUESTIONS_MAX: Final = 32
# A page has up to that many records, of which the longest are 100 KB.
_PAGE: Final = 500
Asked: TypeAlias = tuple[str, Question | None]


class Indices:
    """By namespace. `run` has them follow."""

    def __init__(self, store: StateStore, fading: Fading, clock: Clock) -> None:
        self._store, self._fading = store, fading
        self._indices: dict[str, Index] = {}
        # The version up to which they have heard.
        self.since = 0
        self._group: GroupCommit[Asked, Answer | None] = GroupCommit(self._answered)
        # Of who works on an index.
        self._turn = asyncio.Lock()
        # Set whenever vectors may have to be made.
        self.wanted = asyncio.Event()
        self.attention = Attention(clock)

    @property
    def namespaces(self) -> Sequence[str]:
        return tuple(self._indices)

    @property
    def size_bytes(self) -> int:
        # A thread may be adding one.
        return sum(one.size_bytes for one in tuple(self._indices.values()))

    def of(self, namespace: str) -> Index | None:
        return self._indices.get(namespace)

    async def run(self) -> None:
        """Answers until cancelled."""
        await self._group.run()

    async def waiting(self, most: int, passed_over: Iterable[Place] = ()) -> list[Place]:
        """Some memories that wait for a vector, of each namespace; those that were passed over come
        last.
        """
        async with self._turn:
            for place in passed_over:
                index = self._indices.get(place.namespace)
                if index is not None and place.id in index.pending:
                    index.pending[place.id] = index.pending.pop(place.id)
            return [
                Place(namespace, memory_id)
                for namespace, index in self._indices.items()
                for memory_id in islice(index.pending, most)
            ]

    async def adopt(self, space: Space) -> None:
        """From now on vectors are of that space, in all namespaces."""
        async with self._turn:
            for index in self._indices.values():
                index.adopt(space)

    async def ask(self, namespace: str, question: Question) -> Answer | None:
        """None where the namespace has no memories. Raises what the store raises."""
        self.attention.pay()
        return await self._group.do((namespace, question))

    async def follow(self) -> None:
        """Fetches what was written so far. Raises what the store raises."""
        await self._group.do(("", None))

    async def tidy(self, namespace: str) -> None:
        """Nothing of what was deleted is in memory any more."""
        async with self._turn:
            if (index := self._indices.get(namespace)) is not None:
                await to_its_end(index.tidy, always=True)

    async def _answered(self, asked: Sequence[Asked]) -> Sequence[Answer | Failure | None]:
        async with self._turn:
            await self._catch_up()
            return await self._asked(asked)

    async def _asked(self, asked: Sequence[Asked]) -> list[Answer | None]:
        by_namespace: dict[str, list[int]] = defaultdict(list)
        for number, (namespace, question) in enumerate(asked):
            if question is not None and namespace in self._indices:
                by_namespace[namespace].append(number)
        answers: list[Answer | None] = [None] * len(asked)
        for namespace, numbers in by_namespace.items():
            index = self._indices[namespace]
            for start in range(0, len(numbers), _QUESTIONS_MAX):
                part = numbers[start : start + _QUESTIONS_MAX]
                questions = [one for number in part if (one := asked[number][1]) is not None]
                if len(index) > _INLINE_MEMORIES:
                    found = await asyncio.to_thread(index.ask, questions)
                else:
                    found = index.ask(questions)
                for number, answer in zip(part, found, strict=True):
                    answers[number] = answer
        return answers

    async def _catch_up(self) -> None:
        is_news = False
        while True:
            try:
                told = await self._store.changed(self.since, _PAGE)
            except Forgotten as error:
                await self._begin_anew(error.horizon)
                continue
            if len(told.changed) > _INLINE_CHANGES:
                await asyncio.to_thread(self._take, told.changed)
            else:
                self._take(told.changed)
            self.since, is_news = told.upto, is_news or bool(told.changed)
            if told.is_last:
                break
        if is_news and any(index.pending for index in self._indices.values()):
            self.wanted.set()

    async def _begin_anew(self, horizon: int) -> None:
        """What is there now has no deletion up to that version."""
        self._indices.clear()
        after = ""
        while page := await self._store.entries(MEMORIES, after):
            told = [Changed(one.key, one.stored.content, one.stored.version) for one in page]
            await asyncio.to_thread(self._take, told)
            after = page[-1].key
        self.since = horizon

    def _take(self, changed: Sequence[Changed]) -> None:
        touched = set()
        for one in changed:
            place = Place.at(one.key)
            if place is None:
                continue
            index = self._index(place.namespace)
            touched.add(place.namespace)
            if one.content is None:
                index.remove(place.id)
            else:
                index.put(place.id, nouns.MemoryRecord.FromString(one.content))
        for namespace in touched:
            self._indices[namespace].tidy()
            if not len(self._indices[namespace]):
                del self._indices[namespace]

    def _index(self, namespace: str) -> Index:
        if namespace not in self._indices:
            # With it comes numpy, which a fleet that remembers nothing does not pay.
            from threadpoolctl import threadpool_limits

            from services.memory.memory_orchestrator.index import Index

            # Other threads of the process are others' agents.
            threadpool_limits(1, user_api="blas")
            self._indices[namespace] = Index(self._fading)
        return self._indices[namespace]
