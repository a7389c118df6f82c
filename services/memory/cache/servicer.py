"""tandem.memory.v1.CacheService over the cache."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from services.memory.cache import refusal
from services.memory.cache.keeping import Place, Write, epoch_ms
from services.memory.cache.lookup import Ask, Cache, Desk, Found
from services.memory.cache.policy import Policy, ms_of
from services.memory.cache.tier import Which
from tandem.memory.v1 import cache_entry_pb2 as nouns
from tandem.memory.v1 import cache_service_pb2 as pb
from tandem.memory.v1 import cache_service_pb2_grpc as rpc
from tandem.memory.v1 import subject_pb2 as subject
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.core.ids import event_id
from tandemkit.hosting import access
from tandemkit.hosting.access import Right
from tandemkit.hosting.exporting import in_messages, record_of
from tandemkit.rpc.context import Context
from tandemkit.rpc.current import SERVING

_MS: Final = 1000
# What is left of a call's time for its answer.
_REST_SHARE, _REST_S_MIN = 0.05, 0.05
_AGENT: Final = "tandem.memory.v1.CacheService"


class CacheServicer(rpc.CacheServiceServicer):
    def __init__(self, cache: Cache, desk: Desk, value_bytes_max: int) -> None:
        self._cache, self._desk, self._value_bytes_max = cache, desk, value_bytes_max

    async def GetEntry(self, request: pb.GetEntryRequest, _context: Context) -> pb.GetEntryResponse:
        right = Right.READ if request.lookup_only else Right.WRITE
        place = Place(access.check(request.namespace, right), request.key)
        term_ms = ms_of(request.fill_term) or self._policy(place).fill_term_ms
        token = "" if request.lookup_only else request.request_id or event_id()
        with refusal.refusing():
            found = await self._cache.find(Ask(place, token, term_ms, _wait_s(request)))
        return _found(found, token)

    async def PutEntry(self, request: pb.PutEntryRequest, _context: Context) -> pb.PutEntryResponse:
        write = self._write(request, access.check(request.namespace, Right.WRITE))
        if len(request.value) > self._value_bytes_max:
            raise refusal.too_large(len(request.value), self._value_bytes_max)
        with refusal.refusing():
            version, is_alone = await self._cache.put(write)
        told = pb.PutEntryResponse(version=version, is_degraded=is_alone)
        entry = write.entry
        told.ttl.FromMilliseconds(entry.expire_time.ToMilliseconds() - write.now_ms)
        return told

    async def ReleaseLease(
        self, request: pb.ReleaseLeaseRequest, _context: Context
    ) -> pb.ReleaseLeaseResponse:
        place = Place(access.check(request.namespace, Right.WRITE), request.key)
        with refusal.refusing():
            await self._cache.release(place, request.lease)
        return pb.ReleaseLeaseResponse()

    async def DeleteEntry(
        self, request: pb.DeleteEntryRequest, _context: Context
    ) -> pb.DeleteEntryResponse:
        place = Place(access.check(request.namespace, Right.WRITE), request.key)
        expected = request.expected_version if request.HasField("expected_version") else None
        with refusal.refusing():
            was_there = await self._cache.delete(place, expected)
        return pb.DeleteEntryResponse(was_there=was_there)

    async def DeleteEntries(
        self, request: pb.DeleteEntriesRequest, _context: Context
    ) -> pb.DeleteEntriesResponse:
        namespace = access.check(request.namespace, Right.WRITE)
        with refusal.refusing():
            which = Which(namespace, prefix=request.prefix, subject=request.subject)
            deleted = await self._cache.sweep(which)
        return pb.DeleteEntriesResponse(deleted=deleted)

    async def GetCacheUse(
        self, request: pb.GetCacheUseRequest, _context: Context
    ) -> pb.GetCacheUseResponse:
        shared = self._cache.shared
        told = self._desk.uses.told(self._desk.local, shared)
        if request.namespace:
            access.check(request.namespace, Right.READ)
        asked = [one for one in told if request.namespace in {"", one.namespace}]
        uses = [one for one in asked if _may_read(one.namespace)]
        return pb.GetCacheUseResponse(
            uses=uses, backend=shared.backend, is_shared_reachable=shared.is_reachable
        )

    async def DeleteSubject(
        self, request: subject.DeleteSubjectRequest, _context: Context
    ) -> subject.DeleteSubjectResponse:
        which = _which(request)
        with refusal.refusing():
            deleted = await self._cache.sweep(which)
        return subject.DeleteSubjectResponse(deleted=deleted)

    async def ExportSubject(
        self, request: subject.ExportSubjectRequest, _context: Context
    ) -> AsyncIterator[subject.ExportSubjectResponse]:
        which = _which(request)
        with refusal.refusing():
            async for told in in_messages(self._records(which)):
                yield told

    async def _records(self, which: Which) -> AsyncIterator[subject.SubjectRecord]:
        async for kept in self._cache.shared.entries(which, epoch_ms(self._desk.clock)):
            name = f"namespaces/{which.namespace}/entries/{kept.entry.key}"
            yield record_of(_AGENT, name, kept.entry)

    def _write(self, request: pb.PutEntryRequest, namespace: str) -> Write:
        place = Place(namespace, request.key)
        policy, now_ms = self._policy(place), epoch_ms(self._desk.clock)
        usual_ms = policy.negative_ttl_ms if request.is_negative else policy.ttl_ms
        expires_ms = now_ms + (ms_of(request.ttl) or usual_ms)
        entry = nouns.CacheEntry(
            key=request.key,
            value=request.value,
            is_negative=request.is_negative,
            subjects=request.subjects,
        )
        entry.put_time.FromMilliseconds(now_ms)
        entry.expire_time.FromMilliseconds(expires_ms)
        entry.gone_time.FromMilliseconds(expires_ms + policy.stale_ms)
        expected = request.expected_version if request.HasField("expected_version") else None
        mark = request.request_id or request.lease or event_id()
        return Write(place, entry, now_ms, mark, request.lease, expected)

    def _policy(self, place: Place) -> Policy:
        return self._desk.policies.of(place.namespace)


def _may_read(namespace: str) -> bool:
    try:
        access.check(namespace, Right.READ)
    except (CallerError, TransientError):
        return False
    return True


def _wait_s(request: pb.GetEntryRequest) -> float:
    """As long as it says, and so that an answer comes in time."""
    serving = SERVING.get()
    rest_s = serving.rest_s() if serving is not None else None
    wanted_s = ms_of(request.wait) / _MS if request.HasField("wait") else float("inf")
    if rest_s is None:
        return wanted_s
    return min(wanted_s, max(0.0, rest_s - max(_REST_S_MIN, rest_s * _REST_SHARE)))


def _found(found: Found, token: str) -> pb.GetEntryResponse:
    told = pb.GetEntryResponse(
        entry=found.kept.entry if found.kept is not None else None,
        is_stale=found.is_stale,
        tier=found.tier,
        is_degraded=found.is_degraded,
    )
    if found.lease_ms:
        told.lease.token = token
        told.lease.term.FromMilliseconds(found.lease_ms)
    return told


def _which(request: subject.DeleteSubjectRequest | subject.ExportSubjectRequest) -> Which:
    namespace = access.check(request.namespace, Right.OWN)
    return Which(namespace, subject=request.subject, mentions=request.mentions)
