"""Messages to what holds and back. Contract: ConfigServerService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from services.platform.config_server.kinds import fits, name_of
from services.platform.config_server.ledger import Ledger, Order
from services.platform.config_server.resolution import View
from services.platform.config_server.standing import NotKnown, Standing
from tandem.platform.v1 import config_server_service_pb2 as pb
from tandem.platform.v1 import config_server_service_pb2_grpc as rpc
from tandem.platform.v1 import config_value_pb2 as nouns
from tandem.platform.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting import refusing
from tandemkit.rpc.context import Context

_VALUES_PAGE, _VALUES_PAGE_MAX = 100, 500
_CHANGES_PAGE, _CHANGES_PAGE_MAX = 20, 100
# Versions are listed from the latest down, and pages go by names that rise.
_CEILING = 10**15
_RETRY_S = 1.0
_PAGE = partial(refusing.page, reason=errors.ERROR_REASON_PAGE_TOKEN_INVALID)
# A caller who hears nothing for longer knows that we do not run.
ALIVE_EVERY_S = 2.0


class ConfigServer(rpc.ConfigServerServiceServicer):
    def __init__(self, standing: Standing, ledger: Ledger) -> None:
        self._standing, self._ledger = standing, ledger

    async def GetConfigValue(
        self, request: pb.GetConfigValueRequest, _context: Context
    ) -> pb.GetConfigValueResponse:
        view = self._view_with(request.key)
        entry = view.entry(request.key, request.target)
        return pb.GetConfigValueResponse(entry=entry, version=view.version, stale=view.stale)

    async def ListConfigValues(
        self, request: pb.ListConfigValuesRequest, _context: Context
    ) -> pb.ListConfigValuesResponse:
        view = self._view()
        keys = sorted(key for key in view.book.declarations if key.startswith(request.prefix))
        size = min(request.page_size or _VALUES_PAGE, _VALUES_PAGE_MAX)
        page = _PAGE(keys, f"values:{request.prefix}", request.page_token, size)
        return pb.ListConfigValuesResponse(
            entries=[view.entry(key, request.target) for key in page.names],
            next_page_token=page.next_token,
            version=view.version,
            stale=view.stale,
            problems=self._standing.problems,
        )

    async def ExplainConfigValue(
        self, request: pb.ExplainConfigValueRequest, _context: Context
    ) -> pb.ExplainConfigValueResponse:
        view = self._view_with(request.key)
        answer = pb.ExplainConfigValueResponse(version=view.version, stale=view.stale)
        answer.entry.CopyFrom(view.entry(request.key, request.target))
        for said in view.candidates(request.key, request.target):
            answer.candidates.add(value=said.value, origin=said.origin, written=said.written)
        return answer

    async def SetConfigValue(
        self, request: pb.SetConfigValueRequest, context: Context
    ) -> pb.SetConfigValueResponse:
        kind = self._view_with(request.key).book.declarations[request.key].kind
        if not fits(request.value, kind):
            message = "the value is of another kind than the key's"
            reason, said = errors.ERROR_REASON_CONFIG_KIND_MISMATCH, request.value
            given = said.WhichOneof("value") or ""
            raise CallerError(reason, message, field="value", kind=name_of(kind), given=given)
        version = await self._change(request, request.value, context)
        return pb.SetConfigValueResponse(version=version)

    async def ClearConfigValue(
        self, request: pb.ClearConfigValueRequest, context: Context
    ) -> pb.ClearConfigValueResponse:
        return pb.ClearConfigValueResponse(version=await self._change(request, None, context))

    async def ListConfigChanges(
        self, request: pb.ListConfigChangesRequest, _context: Context
    ) -> pb.ListConfigChangesResponse:
        names = [f"{_CEILING - version:016}" for version in await self._ledger.records.versions()]
        size = min(request.page_size or _CHANGES_PAGE, _CHANGES_PAGE_MAX)
        page = _PAGE(names, "changes", request.page_token, size)
        changes = await self._ledger.records.changes(_CEILING - int(name) for name in page.names)
        return pb.ListConfigChangesResponse(changes=changes, next_page_token=page.next_token)

    async def WatchConfigValues(
        self, request: pb.WatchConfigValuesRequest, _context: Context
    ) -> AsyncIterator[pb.WatchConfigValuesResponse]:
        view = self._view()
        known = view.entries(request.prefix, request.target)
        told = pb.WatchConfigValuesResponse(version=view.version, stale=view.stale)
        told.snapshot.SetInParent()
        told.snapshot.entries.extend(known.values())
        said_s = -ALIVE_EVERY_S
        while True:
            # What is somebody else's says nothing, and yet that we run, once that is due.
            if told.WhichOneof("event") or _now_s() - said_s >= ALIVE_EVERY_S:
                said_s = _now_s()
                yield told
            # A change while the caller took its time is in the next view, which is asked for first.
            if self._view() is view:
                await self._standing.changed(within_s=ALIVE_EVERY_S)
            was, view = view, self._view()
            now = view.entries(request.prefix, request.target)
            told = _difference(known, now)
            if was.stale != view.stale:
                told.changed.SetInParent()
            told.version, told.stale, known = view.version, view.stale, now

    async def _change(
        self,
        request: pb.SetConfigValueRequest | pb.ClearConfigValueRequest,
        value: nouns.ConfigValue | None,
        context: Context,
    ) -> int:
        expected = request.expected_version if request.HasField("expected_version") else None
        order = Order(request.key, request.target, value, request.note, context.peer(), expected)
        record = await self._ledger.change(order)
        # Whoever wrote finds it here at once, and watchers need not wait for the registry's word.
        self._standing.told.take(record)
        return record.change.version

    def _view(self) -> View:
        try:
            return self._standing.view
        except NotKnown as error:
            reason = errors.ERROR_REASON_CONFIG_STORE_UNREACHABLE
            raise TransientError(reason, error.message, retry_after_s=_RETRY_S) from error

    def _view_with(self, key: str) -> View:
        view = self._view()
        if key not in view.book.declarations:
            near = {"near": ", ".join(found)} if (found := view.book.near(key)) else {}
            reason = errors.ERROR_REASON_CONFIG_KEY_UNDECLARED
            raise CallerError(reason, "no file declares the key", field="key", key=key, **near)
        return view


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _difference(
    known: dict[str, nouns.ConfigEntry], now: dict[str, nouns.ConfigEntry]
) -> pb.WatchConfigValuesResponse:
    """Without an event where nothing is different."""
    told = pb.WatchConfigValuesResponse()
    told.changed.entries.extend(one for key, one in now.items() if known.get(key) != one)
    told.changed.gone_keys.extend(key for key in known if key not in now)
    if not told.changed.entries and not told.changed.gone_keys:
        told.ClearField("changed")
    return told
