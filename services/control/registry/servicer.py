"""Messages to the registry and back. Contract: RegistryService."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from services.control.registry import wire
from services.control.registry.admission import Admission, Admitted
from services.control.registry.holds import Hold, Holds
from services.control.registry.refusal import lease_lost, out_of_order, refusals_for
from services.control.registry.watched_values import WatchedValues
from services.control.registry.wording import Wording
from tandem.control.v1 import errors_pb2 as errors
from tandem.control.v1 import registry_service_pb2 as pb
from tandem.control.v1 import registry_service_pb2_grpc as rpc
from tandemkit.core.errors import CallerError
from tandemkit.registry.protocol import LeaseLost, Registry, Versioned
from tandemkit.rpc.context import Context


class Front(rpc.RegistryServiceServicer):
    def __init__(
        self, registry: Registry, holds: Holds, watched: WatchedValues, admission: Admission
    ) -> None:
        self._registry, self._holds, self._watched = registry, holds, watched
        self._admission = admission

    async def HoldLease(
        self, request_iterator: AsyncIterator[pb.HoldLeaseRequest], context: Context
    ) -> AsyncIterator[pb.HoldLeaseResponse]:
        first = await anext(request_iterator, None)
        if first is None or not first.HasField("open"):
            raise out_of_order("a lease begins with its opening", "step")
        ttl_s = wire.lease_ttl_s(first.open)
        admitted = self._admission.of(context.invocation_metadata())
        admitted.check(first.open.host)
        with refusals_for("open.host.name", first.open.host.name):
            hold = await self._holds.open(first.open.host, ttl_s)
        held = pb.HoldLeaseResponse()
        held.time_left.FromTimedelta(wire.duration(ttl_s))
        try:
            yield held
            async for is_over in _steps(hold, self._admission, admitted, request_iterator):
                yield pb.HoldLeaseResponse() if is_over else held
        finally:
            self._holds.forget(hold)

    async def WatchHosts(
        self, request: pb.WatchHostsRequest, context: Context
    ) -> AsyncIterator[pb.WatchHostsResponse]:
        wording = Wording()
        with refusals_for("since_revision", str(request.since_revision)):
            async with aclosing(self._registry.watch(request.since_revision or None)) as events:
                async for event in events:
                    if told := wording.of(event):
                        yield told

    async def OpenRegistration(
        self, request: pb.OpenRegistrationRequest, context: Context
    ) -> pb.OpenRegistrationResponse:
        stored = request.value.SerializeToString(deterministic=True)
        owner, ttl_s = wire.owner_of(request.key), wire.registration_ttl_s(request)
        with refusals_for("key", request.key):
            lease = await self._registry.open_lease(owner, ttl_s)
            await self._registry.register(lease, request.key, stored)
        return pb.OpenRegistrationResponse(lease=wire.told_lease(request.key, lease))

    async def RenewRegistration(
        self, request: pb.RenewRegistrationRequest, context: Context
    ) -> pb.RenewRegistrationResponse:
        with refusals_for("lease", request.lease.key):
            await self._registry.renew(wire.shown_lease(request.lease))
        return pb.RenewRegistrationResponse()

    async def CloseRegistration(
        self, request: pb.CloseRegistrationRequest, context: Context
    ) -> pb.CloseRegistrationResponse:
        with refusals_for("lease", request.lease.key):
            await self._registry.close_lease(wire.shown_lease(request.lease))
        return pb.CloseRegistrationResponse()

    async def WatchRegistrations(
        self, request: pb.WatchRegistrationsRequest, context: Context
    ) -> AsyncIterator[pb.WatchRegistrationsResponse]:
        with refusals_for("prefix", request.prefix):
            async with aclosing(self._registry.watch()) as events:
                async for event in events:
                    if told := wire.told_of_registrations(event, request.prefix):
                        yield told

    async def CampaignElection(
        self, request: pb.CampaignElectionRequest, context: Context
    ) -> pb.CampaignElectionResponse:
        with refusals_for("candidate", request.candidate):
            won = await self._registry.elect(
                request.election, request.candidate, wire.leader_ttl_s(request)
            )
        return pb.CampaignElectionResponse(leadership=wire.told_leadership(won) if won else None)

    async def KeepLeadership(
        self, request: pb.KeepLeadershipRequest, context: Context
    ) -> pb.KeepLeadershipResponse:
        with refusals_for("leadership", request.leadership.election):
            await self._registry.keep(wire.shown_leadership(request.leadership))
        return pb.KeepLeadershipResponse()

    async def ResignLeadership(
        self, request: pb.ResignLeadershipRequest, context: Context
    ) -> pb.ResignLeadershipResponse:
        with refusals_for("leadership", request.leadership.election):
            await self._registry.resign(wire.shown_leadership(request.leadership))
        return pb.ResignLeadershipResponse()

    async def GetValue(self, request: pb.GetValueRequest, context: Context) -> pb.GetValueResponse:
        with refusals_for("key", request.key):
            found = await self._registry.get(request.key)
        if found is None:
            message = "there is no such value"
            raise CallerError(errors.ERROR_REASON_VALUE_NOT_FOUND, message, key=request.key)
        value = pb.StoredValue.FromString(found.value)
        return pb.GetValueResponse(value=value, version=found.version)

    async def WatchValue(
        self, request: pb.WatchValueRequest, context: Context
    ) -> AsyncIterator[pb.WatchValueResponse]:
        with refusals_for("key", request.key):
            async with aclosing(self._watched.watch(request.key)) as seen:
                async for found in seen:
                    told = pb.WatchValueResponse()
                    if found is not None:
                        told.value.ParseFromString(found.value)
                        told.version = found.version
                    yield told

    async def PutValue(self, request: pb.PutValueRequest, context: Context) -> pb.PutValueResponse:
        leads = request.HasField("leadership")
        stored = request.value.SerializeToString(deterministic=True)
        with refusals_for("key", request.key):
            version = await self._registry.put(
                request.key,
                stored,
                expected=request.expected_version if request.HasField("expected_version") else None,
                leadership=wire.shown_leadership(request.leadership) if leads else None,
            )
        self._watched.wrote(request.key, Versioned(stored, version))
        return pb.PutValueResponse(version=version)

    async def DeleteValue(
        self, request: pb.DeleteValueRequest, context: Context
    ) -> pb.DeleteValueResponse:
        expected = request.expected_version if request.HasField("expected_version") else None
        with refusals_for("key", request.key):
            await self._registry.delete(request.key, expected=expected)
        self._watched.wrote(request.key, None)
        return pb.DeleteValueResponse()


async def _steps(
    hold: Hold,
    admission: Admission,
    admitted: Admitted,
    requests: AsyncIterator[pb.HoldLeaseRequest],
) -> AsyncGenerator[bool, None]:
    """Takes each step after the first, and says whether it was the last."""
    while (request := await _next(hold, requests)) is not None:
        with refusals_for("change.host", hold.host):
            if request.HasField("renew"):
                await hold.renew()
            elif request.HasField("change"):
                if request.change.host.name != hold.host:
                    raise out_of_order("a host keeps its name", "change.host.name")
                if request.change.credential:
                    admitted = admission.shown(request.change.credential)
                admitted.check(request.change.host)
                await hold.change(request.change.host)
            elif request.HasField("open"):
                raise out_of_order("a lease is opened once", "open")
            else:
                await hold.leave()
                yield True
                return
        yield False


async def _next(
    hold: Hold, requests: AsyncIterator[pb.HoldLeaseRequest]
) -> pb.HoldLeaseRequest | None:
    # Outside of the refusals: a ValueError of the stream itself is a defect.
    try:
        return await hold.next(requests)
    except LeaseLost as error:
        raise lease_lost(hold.host) from error
