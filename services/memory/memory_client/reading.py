"""Reads: the orchestrator's answer or copies of it, with what the journal makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from services.memory.memory_client import refusal
from services.memory.memory_client.copies import Copy
from services.memory.memory_client.means import Means
from services.memory.memory_client.orchestrator import Away
from services.memory.memory_client.overlay import overlaid
from services.memory.memory_client.wanted import fits
from tandem.memory.v1 import errors_pb2 as errors
from tandem.memory.v1 import memory_client_service_pb2 as pb
from tandem.memory.v1.degradation_pb2 import DEGRADATION_LEXICAL_ONLY
from tandem.memory.v1.memory_orchestrator_service_pb2 import (
    SearchMemoriesRequest,
    SearchMemoriesResponse,
)
from tandem.memory.v1.memory_pb2 import Memory, MemoryHit
from tandemkit.hosting import memory_refusals
from tandemkit.ml.ranking.bm25 import WordIndex
from tandemkit.ml.ranking.fusion import fused
from tandemkit.ml.text.words import words
from tandemkit.rpc.failure import Refused

_LIMIT, _LIMIT_MAX = 10, 100
_MISSING = errors.ErrorReason.Name(errors.ERROR_REASON_MEMORY_NOT_FOUND).removeprefix(
    "ERROR_REASON_"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A memory without the journal's part, None where there is none, and where that is from."""

    memory: Memory | None
    source: pb.ReadSource.ValueType
    age_s: float = 0.0
    is_stale: bool = False


class Reading:
    """Raises CallerError, TransientError, and Refused with what the orchestrator said."""

    def __init__(self, means: Means) -> None:
        self._orchestrator, self._journal = means.orchestrator, means.journal
        self._copies, self._line, self._clock = means.copies, means.line, means.clock

    async def memory(
        self, name: str, age_max_s: float, left_s: float | None
    ) -> pb.MemoryClientServiceGetMemoryResponse:
        """`left_s` is how long its caller will wait; None for ever."""
        found = await self._found(name, age_max_s, left_s)
        # What was journaled while the orchestrator was asked is in it.
        queued = self._journal.of(name)
        now = overlaid(found.memory, queued)
        if now.memory is None:
            raise memory_refusals.missing(name)
        answer = pb.MemoryClientServiceGetMemoryResponse(
            memory=now.memory,
            source=found.source,
            is_stale=found.is_stale,
            journaled=len(queued),
        )
        if found.age_s:
            answer.age.FromNanoseconds(round(found.age_s * 1e9))
        return answer

    async def search(
        self, request: SearchMemoriesRequest, namespace: str, left_s: float | None
    ) -> pb.MemoryClientServiceSearchMemoriesResponse:
        """The same; `namespace` is the request's."""
        limit = min(request.limit or _LIMIT, _LIMIT_MAX)
        live = await self._searched(request, left_s)
        if live is not None:
            hits = list(live.hits)
            answer = pb.MemoryClientServiceSearchMemoriesResponse(
                degraded=live.degraded, source=pb.READ_SOURCE_LIVE
            )
        else:
            hits = [MemoryHit(memory=one) for one in self._copied(request, namespace)]
            answer = pb.MemoryClientServiceSearchMemoriesResponse(
                degraded=[DEGRADATION_LEXICAL_ONLY], source=pb.READ_SOURCE_CACHED
            )
        for hit, is_journaled in self._with_journal(request, namespace, hits):
            if len(answer.hits) < limit:
                answer.hits.append(hit)
                answer.journaled += is_journaled
        if live is None and not answer.hits:
            raise refusal.unreachable(self._line.cause)
        return answer

    async def _found(self, name: str, age_max_s: float, left_s: float | None) -> Found:
        copy = self._copies.of(name)
        if copy is not None and self._copies.age_s(copy) < age_max_s:
            return self._of_copy(copy, is_stale=False)
        if self._line.may_try():
            asked_s = self._copies.now_s()
            try:
                memory = await self._orchestrator.memory(name, self._orchestrator.within_s(left_s))
            except Away:
                copy = self._copies.of(name)
            except Refused as error:
                if error.refusal.reason != _MISSING:
                    raise
                self._copies.drop(name)
                if not self._journal.of(name):
                    raise
                return Found(None, pb.READ_SOURCE_LIVE)
            else:
                self._copies.take(memory, asked_s)
                return Found(self._copies.newest(memory, asked_s), pb.READ_SOURCE_LIVE)
        if copy is not None:
            return self._of_copy(copy, is_stale=True)
        known = overlaid(None, self._journal.of(name))
        if known.is_whole or known.is_deleted:
            return Found(None, pb.READ_SOURCE_JOURNAL)
        raise refusal.unreachable(self._line.cause)

    def _of_copy(self, copy: Copy, *, is_stale: bool) -> Found:
        age_s = self._copies.age_s(copy)
        return Found(copy.memory, pb.READ_SOURCE_CACHED, age_s, is_stale)

    async def _searched(
        self, request: SearchMemoriesRequest, left_s: float | None
    ) -> SearchMemoriesResponse | None:
        """None where it cannot be asked."""
        if not self._line.may_try():
            return None
        asked_s = self._copies.now_s()
        try:
            found = await self._orchestrator.search(request, self._orchestrator.within_s(left_s))
        except Away:
            return None
        for hit in found.hits:
            # As it was known at another moment it is no copy of what is.
            if not (request.HasField("known_at") or request.HasField("valid_at")):
                self._copies.take(hit.memory, asked_s)
        return found

    def _copied(self, request: SearchMemoriesRequest, namespace: str) -> Iterator[Memory]:
        prefix, now = f"namespaces/{namespace}/", self._clock.now()
        for memory in self._copies.searched(request.query):
            if memory.name.startswith(prefix) and fits(request, memory, now):
                yield memory

    def _with_journal(
        self, request: SearchMemoriesRequest, namespace: str, hits: Iterable[MemoryHit]
    ) -> list[tuple[MemoryHit, bool]]:
        """The best first, and whether the journal has a part in it."""
        known = {hit.memory.name: hit for hit in hits}
        changed = self._changed(request, namespace, known)
        if not changed:
            return [(hit, False) for hit in known.values()]
        index: WordIndex[str] = WordIndex()
        for name, memory in changed.items():
            if memory is not None:
                index.add(name, words(memory.text))
        by_words = [name for name, _ in index.search(words(request.query))]
        told = [name for name in known if name not in changed]
        found = []
        for one in fused((told, by_words)):
            memory = changed.get(one.key)
            hit = known[one.key] if memory is None else MemoryHit(memory=memory)
            hit.score = one.score
            found.append((hit, memory is not None))
        return found

    def _changed(
        self, request: SearchMemoriesRequest, namespace: str, known: dict[str, MemoryHit]
    ) -> dict[str, Memory | None]:
        """Memories that the journal has writes to; None of what it deletes or makes unfit."""
        now = self._clock.now()
        changed: dict[str, Memory | None] = {}
        for name in self._journal.names(namespace):
            copy = self._copies.of(name)
            base = known[name].memory if name in known else copy.memory if copy else None
            memory = overlaid(base, self._journal.of(name)).memory
            is_fit = memory is not None and fits(request, memory, now)
            changed[name] = memory if is_fit else None
        return changed
