"""Messages to flags and back. Contract: FeatureFlagService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import partial

from services.platform.feature_flag.editing import (
    Edit,
    Ledger,
    Order,
    put,
    switch,
    undo,
    unknown,
)
from services.platform.feature_flag.standing import NotKnown, Standing
from tandem.platform.v1 import errors_pb2 as errors
from tandem.platform.v1 import feature_flag_pb2 as nouns
from tandem.platform.v1 import feature_flag_service_pb2 as pb
from tandem.platform.v1 import feature_flag_service_pb2_grpc as rpc
from tandemkit.core.clock import Clock
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting import refusing
from tandemkit.hosting.flag_resolving import resolved
from tandemkit.rpc.context import Context

_FLAGS_PAGE, _FLAGS_PAGE_MAX = 50, 200
_CHANGES_PAGE, _CHANGES_PAGE_MAX = 20, 100
# Versions are listed from the latest down, and pages go by names that rise.
_CEILING = 10**15
_RETRY_S = 1.0
_PAGE = partial(refusing.page, reason=errors.ERROR_REASON_PAGE_TOKEN_INVALID)
# A caller who hears nothing for longer knows that we do not run.
ALIVE_EVERY_S = 2.0


class FeatureFlags(rpc.FeatureFlagServiceServicer):
    def __init__(self, standing: Standing, ledger: Ledger, clock: Clock) -> None:
        self._standing, self._ledger, self._clock = standing, ledger, clock

    async def GetFlag(self, request: pb.GetFlagRequest, _context: Context) -> pb.GetFlagResponse:
        return pb.GetFlagResponse(flag=self._flag(request.key), version=self._standing.version)

    async def ListFlags(
        self, request: pb.ListFlagsRequest, _context: Context
    ) -> pb.ListFlagsResponse:
        flags = self._flags()
        keys = [key for key in flags if key.startswith(request.prefix)]
        size = min(request.page_size or _FLAGS_PAGE, _FLAGS_PAGE_MAX)
        page = _PAGE(keys, f"flags:{request.prefix}", request.page_token, size)
        now_ns = int(self._clock.now().timestamp() * 1e9)
        overdue = [key for key in page.names if flags[key].end_time.ToNanoseconds() < now_ns]
        return pb.ListFlagsResponse(
            flags=[flags[key] for key in page.names],
            next_page_token=page.next_token,
            version=self._standing.version,
            overdue_keys=overdue,
        )

    async def ResolveFlag(
        self, request: pb.ResolveFlagRequest, _context: Context
    ) -> pb.ResolveFlagResponse:
        return pb.ResolveFlagResponse(
            resolution=resolved(self._flag(request.key), request.context),
            version=self._standing.version,
            stale=self._standing.stale,
        )

    async def PutFlag(self, request: pb.PutFlagRequest, context: Context) -> pb.PutFlagResponse:
        order = Order(request.flag.key, request.note, context.peer(), _expected(request))
        return pb.PutFlagResponse(version=await self._change(order, put(request.flag)))

    async def SwitchFlag(
        self, request: pb.SwitchFlagRequest, context: Context
    ) -> pb.SwitchFlagResponse:
        self._flag(request.key)
        order = Order(request.key, request.note, context.peer(), _expected(request))
        edit = switch(request.key, enabled=request.enabled)
        return pb.SwitchFlagResponse(version=await self._change(order, edit))

    async def DeleteFlag(
        self, request: pb.DeleteFlagRequest, context: Context
    ) -> pb.DeleteFlagResponse:
        order = Order(request.key, request.note, context.peer(), _expected(request))
        return pb.DeleteFlagResponse(version=await self._change(order, lambda _before: None))

    async def UndoFlagChange(
        self, request: pb.UndoFlagChangeRequest, context: Context
    ) -> pb.UndoFlagChangeResponse:
        found = await self._ledger.records.changes([request.version])
        if not found:
            reason = errors.ERROR_REASON_FLAG_CHANGE_NOT_FOUND
            message = "there was no such change of flags, or it is no longer kept"
            raise CallerError(reason, message, field="version", version=request.version)
        order = Order(found[0].key, request.note, context.peer())
        edit = undo(found[0], force=request.force)
        return pb.UndoFlagChangeResponse(version=await self._change(order, edit))

    async def ListFlagChanges(
        self, request: pb.ListFlagChangesRequest, _context: Context
    ) -> pb.ListFlagChangesResponse:
        names = [f"{_CEILING - version:016}" for version in await self._ledger.records.versions()]
        size = min(request.page_size or _CHANGES_PAGE, _CHANGES_PAGE_MAX)
        page = _PAGE(names, "changes", request.page_token, size)
        changes = await self._ledger.records.changes(_CEILING - int(name) for name in page.names)
        wanted = [one for one in changes if request.key in {"", one.key}]
        return pb.ListFlagChangesResponse(changes=wanted, next_page_token=page.next_token)

    async def WatchFlags(
        self, _request: pb.WatchFlagsRequest, _context: Context
    ) -> AsyncIterator[pb.WatchFlagsResponse]:
        flags = self._flags()
        while True:
            turn = self._standing.turn
            told = pb.WatchFlagsResponse(version=self._standing.version)
            told.stale = self._standing.stale
            told.snapshot.flags.extend(flags.values())
            yield told
            # A change while the caller took its time is seen at once.
            while self._standing.turn == turn:
                await self._standing.changed(turn, within_s=ALIVE_EVERY_S)
                if self._standing.turn == turn:
                    yield pb.WatchFlagsResponse(version=told.version, stale=told.stale)
            flags = self._flags()

    async def _change(self, order: Order, edit: Edit) -> int:
        record = await self._ledger.change(order, edit)
        # Whoever wrote finds it here at once, and watchers need not wait for the registry's word.
        self._standing.told.take(record)
        return record.change.version

    def _flag(self, key: str) -> nouns.Flag:
        flags = self._flags()
        if key not in flags:
            raise unknown(key, flags)
        return flags[key]

    def _flags(self) -> Mapping[str, nouns.Flag]:
        try:
            return self._standing.flags
        except NotKnown as error:
            reason = errors.ERROR_REASON_FLAG_STORE_UNREACHABLE
            raise TransientError(reason, error.message, retry_after_s=_RETRY_S) from error


def _expected(
    request: pb.PutFlagRequest | pb.SwitchFlagRequest | pb.DeleteFlagRequest,
) -> int | None:
    return request.expected_version if request.HasField("expected_version") else None
