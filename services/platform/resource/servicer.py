"""The contract's messages, made of the books and of what the machine says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from services.platform.resource import refusal, telling
from services.platform.resource.accounts import NoSuchGpu
from services.platform.resource.grants import Grants
from services.platform.resource.guard import Guard
from services.platform.resource.scene import Scene
from tandem.fleet.v1.resources_pb2 import MEMORY_POOL_STANDARD
from tandem.platform.v1 import errors_pb2 as errors
from tandem.platform.v1 import resource_pb2 as nouns
from tandem.platform.v1 import resource_service_pb2 as pb
from tandem.platform.v1 import resource_service_pb2_grpc as rpc
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.machine.watched import WatchedMachine
from tandemkit.reach.failure import Unreachable
from tandemkit.rpc.context import Context
from tandemkit.rpc.paging import TokenInvalid, page_of
from tandemkit.supervise.roll.owners import NoSuchProcess, TooMany
from tandemkit.telemetry.gpus import Board
from tandemkit.written.pools import pool_name

_TERM_S = 30.0
_PAGE_GRANTS, _PAGE_GRANTS_MAX = 100, 1000
_RETRY_S = 1.0


@contextmanager
def _storing() -> Iterator[None]:
    """For calls that change what is on disk."""
    try:
        yield
    except NoSuchProcess as error:
        reason = errors.ERROR_REASON_PROCESS_NOT_RUNNING
        raise CallerError(reason, error.message, field="pid", **error.metadata) from error
    except TooMany as error:
        reason = errors.ERROR_REASON_PROCESS_REGISTRY_FULL
        raise CallerError(reason, error.message, field="pid", **error.metadata) from error
    except Unreachable as error:
        reason = errors.ERROR_REASON_STORE_UNREACHABLE
        raise TransientError(reason, error.message, retry_after_s=_RETRY_S) from error


class Resources(rpc.ResourceServiceServicer):
    def __init__(self, grants: Grants, board: Board, guard: Guard, machine: WatchedMachine) -> None:
        self._grants, self._board = grants, board
        self._guard, self._machine = guard, machine

    async def GetResources(
        self, _request: pb.GetResourcesRequest, _context: Context
    ) -> pb.GetResourcesResponse:
        gpus = await asyncio.to_thread(self._board.read)
        found = telling.resources(self._grants.accounts, gpus)
        found.pressure.CopyFrom(telling.pressure(self._guard, self._machine.absent))
        return found

    async def AcquireGrant(
        self, request: pb.AcquireGrantRequest, _context: Context
    ) -> pb.AcquireGrantResponse:
        grant = _wanted(request.holder, request.use, request.amounts)
        grant.emergency = request.emergency
        grant.term.FromNanoseconds(request.term.ToNanoseconds() or round(_TERM_S * 1e9))
        with _storing():
            given = await self._grants.acquire(grant, request.pid)
        return pb.AcquireGrantResponse(grant=given)

    async def RenewGrants(
        self, request: pb.RenewGrantsRequest, _context: Context
    ) -> pb.RenewGrantsResponse:
        return pb.RenewGrantsResponse(grants=self._grants.renew(request.holder))

    async def ReleaseGrants(
        self, request: pb.ReleaseGrantsRequest, _context: Context
    ) -> pb.ReleaseGrantsResponse:
        with _storing():
            released = await self._grants.release(request.holder, request.use)
        return pb.ReleaseGrantsResponse(grants=released)

    async def ListGrants(
        self, request: pb.ListGrantsRequest, _context: Context
    ) -> pb.ListGrantsResponse:
        # Planned claims come first, and pages are cut by name.
        found = {
            f"{int(one.HasField('term'))} {one.holder} {one.use}": one
            for one in self._grants.all()
            if _fits(one, request)
        }
        size = min(request.page_size or _PAGE_GRANTS, _PAGE_GRANTS_MAX)
        scope = f"{request.pool} {request.holder}"
        try:
            page = page_of(sorted(found), scope=scope, token=request.page_token, size=size)
        except TokenInvalid as error:
            reason = errors.ERROR_REASON_PAGE_TOKEN_INVALID
            said = "the page token belongs to no page of this listing"
            raise CallerError(reason, said, field="page_token") from error
        grants = [found[name] for name in page.names]
        return pb.ListGrantsResponse(grants=grants, next_page_token=page.next_token)

    async def CheckGrant(
        self, request: pb.CheckGrantRequest, _context: Context
    ) -> pb.CheckGrantResponse:
        accounts = self._grants.accounts
        wanted = _wanted(request.holder, request.use, request.amounts)
        try:
            missing = accounts.missing(wanted)
            wanted.emergency = "asked"
            helped = missing and not accounts.missing(wanted)
        except NoSuchGpu as unknown:
            raise refusal.no_gpu(accounts.capacity, request.amounts.gpu) from unknown
        everybody = self._grants.all()
        told = [refusal.told(one, everybody) for one in missing]
        return pb.CheckGrantResponse(shortfalls=told, reserve_would_do=bool(helped))

    async def ListUsage(
        self, _request: pb.ListUsageRequest, _context: Context
    ) -> pb.ListUsageResponse:
        return pb.ListUsageResponse(hosts=self._scene().usage())

    async def ForecastSuspensions(
        self, request: pb.ForecastSuspensionsRequest, _context: Context
    ) -> pb.ForecastSuspensionsResponse:
        return telling.forecast(self._guard.forecast(self._scene(), request.memory_mib))

    def _scene(self) -> Scene:
        machine = self._machine
        if machine.absent:
            reason, said = errors.ERROR_REASON_MACHINE_UNSEEN, "no machine supervisor answers"
            raise CallerError(reason, said, cause=machine.absent)
        return Scene(machine.machine, machine.planned)


def _wanted(holder: str, use: str, amounts: nouns.ResourceAmounts) -> nouns.ResourceGrant:
    grant = nouns.ResourceGrant(holder=holder, use=use, amounts=amounts)
    grant.amounts.pool = amounts.pool or MEMORY_POOL_STANDARD
    return grant


def _fits(grant: nouns.ResourceGrant, request: pb.ListGrantsRequest) -> bool:
    return request.holder in {"", grant.holder} and request.pool in {
        *("", pool_name(grant.amounts.pool)),
    }
