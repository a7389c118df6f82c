"""Messages to the ledger and back. Contract: TrafficPolicyService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TypeAlias

from services.control.traffic_policy.editing import with_host, with_service
from services.control.traffic_policy.ledger import Ledger, Order
from tandem.control.v1 import errors_pb2 as errors
from tandem.control.v1 import traffic_policy_pb2 as nouns
from tandem.control.v1 import traffic_policy_service_pb2 as pb
from tandem.control.v1 import traffic_policy_service_pb2_grpc as rpc
from tandemkit.core.errors import CallerError
from tandemkit.rpc.context import Context
from tandemkit.rpc.paging import TokenInvalid, fitting_page, page_of

PAGE_DEFAULT, PAGE_MAX = 20, 100
# Versions are listed from the latest down, and pages go by names that rise.
_CEILING = 10**15
_Expecting: TypeAlias = (
    pb.SetServicePolicyRequest
    | pb.DrainHostRequest
    | pb.ReturnHostRequest
    | pb.UndoPolicyChangeRequest
)


class Policies(rpc.TrafficPolicyServiceServicer):
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def GetPolicy(
        self, request: pb.GetPolicyRequest, context: Context
    ) -> pb.GetPolicyResponse:
        ledger = self._ledger
        found = await (ledger.at(request.version) if request.version else ledger.latest())
        return pb.GetPolicyResponse(policy=found.policy, version=found.change.version)

    async def WatchPolicy(
        self, request: pb.WatchPolicyRequest, context: Context
    ) -> AsyncIterator[pb.WatchPolicyResponse]:
        async with aclosing(self._ledger.watch()) as told:
            async for latest in told:
                yield pb.WatchPolicyResponse(policy=latest.record.policy, version=latest.version)

    async def SetServicePolicy(
        self, request: pb.SetServicePolicyRequest, context: Context
    ) -> pb.SetServicePolicyResponse:
        async def edit(record: nouns.PolicyRecord) -> nouns.TrafficPolicy:
            return with_service(record.policy, request.policy)

        order = Order(edit, request.note, context.peer(), _expected(request), request.allow_absent)
        return pb.SetServicePolicyResponse(version=await self._changed(order))

    async def ReplacePolicy(
        self, request: pb.ReplacePolicyRequest, context: Context
    ) -> pb.ReplacePolicyResponse:
        async def edit(_record: nouns.PolicyRecord) -> nouns.TrafficPolicy:
            return request.policy

        expected = request.expected_version
        order = Order(edit, request.note, context.peer(), expected, request.allow_absent)
        return pb.ReplacePolicyResponse(version=await self._changed(order))

    async def DrainHost(
        self, request: pb.DrainHostRequest, context: Context
    ) -> pb.DrainHostResponse:
        async def edit(record: nouns.PolicyRecord) -> nouns.TrafficPolicy:
            return with_host(record.policy, request.host, drained=True)

        order = Order(edit, request.note, context.peer(), _expected(request), request.allow_absent)
        return pb.DrainHostResponse(version=await self._changed(order))

    async def ReturnHost(
        self, request: pb.ReturnHostRequest, context: Context
    ) -> pb.ReturnHostResponse:
        async def edit(record: nouns.PolicyRecord) -> nouns.TrafficPolicy:
            return with_host(record.policy, request.host, drained=False)

        order = Order(edit, request.note, context.peer(), _expected(request), allow_absent=True)
        return pb.ReturnHostResponse(version=await self._changed(order))

    async def ListPolicyChanges(
        self, request: pb.ListPolicyChangesRequest, context: Context
    ) -> pb.ListPolicyChangesResponse:
        names = [f"{_CEILING - version:016}" for version in await self._ledger.kept()]
        size = min(request.page_size or PAGE_DEFAULT, PAGE_MAX)
        try:
            page = page_of(names, scope="changes", token=request.page_token, size=size)
        except TokenInvalid as error:
            reason = errors.ERROR_REASON_PAGE_TOKEN_INVALID
            message = "the page token belongs to no page of this listing"
            raise CallerError(reason, message, field="page_token") from error
        versions = [_CEILING - int(name) for name in page.names]
        changes = await self._ledger.changes(versions)
        found = [(f"{_CEILING - one.version:016}", one) for one in changes]
        told, token = fitting_page(found, page.last, "changes")
        return pb.ListPolicyChangesResponse(changes=told, next_page_token=token)

    async def UndoPolicyChange(
        self, request: pb.UndoPolicyChangeRequest, context: Context
    ) -> pb.UndoPolicyChangeResponse:
        expected = _expected(request)
        undone = request.version or (await self._ledger.latest()).change.version
        if not request.version and expected is None:
            # Whoever asks for the latest means the one that there was when the call came.
            expected = undone
        # Not there, it cannot be undone, whatever was before it.
        await self._ledger.at(max(undone, 1))

        async def edit(_record: nouns.PolicyRecord) -> nouns.TrafficPolicy:
            return (await self._ledger.at(undone - 1)).policy

        note, peer = request.note, context.peer()
        order = Order(edit, note, peer, expected, allow_absent=True, undone_version=undone)
        version = await self._changed(order)
        return pb.UndoPolicyChangeResponse(version=version, undone_version=undone)

    async def _changed(self, order: Order) -> int:
        """The policy's version afterwards."""
        return (await self._ledger.change(order)).change.version


def _expected(request: _Expecting) -> int | None:
    return request.expected_version if request.HasField("expected_version") else None
