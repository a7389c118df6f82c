"""Messages to what is registered and back. Contract: ServiceRegistryService."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from google.protobuf.message import DecodeError

from services.platform.service_registry.catalogue import Offer, key_of, names_of
from services.platform.service_registry.checking import Health
from services.platform.service_registry.following import NotKnown
from services.platform.service_registry.leases import Keeper, LeaseEnded, Leases
from services.platform.service_registry.view import View
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.platform.v1 import errors_pb2 as errors
from tandem.platform.v1 import service_registry_service_pb2 as pb
from tandem.platform.v1 import service_registry_service_pb2_grpc as rpc
from tandemkit.core.clock import Clock
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.reach.allowed import Allowed, Forbidden
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.reach.probes import BadUrl, Target
from tandemkit.rpc.context import Context
from tandemkit.rpc.paging import TokenInvalid, page_of

INSTANCES_MAX = 1000
_PAGE, _PAGE_MAX = 100, 500
_RETRY_S = 1.0
_STATES = {
    None: pb.ServiceHealth.STATE_UNKNOWN,
    True: pb.ServiceHealth.STATE_HEALTHY,
    False: pb.ServiceHealth.STATE_UNHEALTHY,
}


class Registrar:
    """Puts instances into the registry and takes them out."""

    def __init__(self, leases: Leases, keeper: Keeper, view: View, allowed: Allowed) -> None:
        self._leases, self._keeper = leases, keeper
        self._view, self._allowed = view, allowed

    async def admit(self, request: pb.RegisterServiceRequest) -> None:
        """Raises CallerError for what is not registered at all."""
        if self._view.catalogue.is_agents({request.name, *request.aliases}):
            reason = errors.ERROR_REASON_SERVICE_NAME_RESERVED
            raise CallerError(reason, "the name is an agent's", field="name", name=request.name)
        if not request.health_url:
            return
        try:
            await self._allowed.numbers(Target.of(request.health_url).host)
        except (BadUrl, Forbidden, Unreachable) as error:
            reason = errors.ERROR_REASON_SERVICE_ADDRESS_REFUSED
            raise CallerError(
                reason, error.message, field="health_url", **error.metadata
            ) from error

    async def register(self, instance: pb.ServiceInstance, ttl_s: float | None) -> bytes:
        """What it is renewed by; empty where it is kept."""
        key = key_of(instance.service, instance.id)
        lease = None
        if ttl_s is None:
            await self._keeper.keep(instance)
        else:
            lease = await self._leases.open(instance, ttl_s)
            await self._keeper.let_go(key)
            self._keeper.known[key] = lease
        await self._view.until_registered(key, instance)
        return lease.SerializeToString() if lease else b""

    async def renew(self, lease: registry.RegistrationLease) -> None:
        """Raises LeaseEnded, also where the instance was taken out or another has its place: its
        lease outlives both.
        """
        await self._leases.renew(lease)
        if not await self._view.stands_under(lease.key, lease.owner):
            raise LeaseEnded
        self._keeper.known[lease.key] = lease

    async def deregister(self, key: str, given: registry.RegistrationLease | None) -> None:
        lease = await self._keeper.let_go(key) or given
        if lease is None:
            if key not in self._view.catalogue.registered:
                return
            reason = errors.ERROR_REASON_SERVICE_LEASE_UNKNOWN
            message = "it is not known by which lease the instance stands"
            raise TransientError(reason, message, retry_after_s=_RETRY_S, key=key)
        # Should it fail, the same call again knows the lease.
        self._keeper.known[key] = lease
        await self._leases.close(lease)
        self._keeper.known.pop(key, None)
        await self._view.until_registered(key, None)


class Services(rpc.ServiceRegistryServiceServicer):
    def __init__(self, registrar: Registrar, view: View, clock: Clock, instances_max: int) -> None:
        self._registrar, self._view, self._clock = registrar, view, clock
        self._instances_max = instances_max

    async def RegisterService(
        self, request: pb.RegisterServiceRequest, _context: Context
    ) -> pb.RegisterServiceResponse:
        await self._known()
        await self._registrar.admit(request)
        instance = _instance(request)
        instance.register_time.FromDatetime(self._clock.now())
        registered, count_max = self._view.catalogue.registered, self._instances_max
        is_new = key_of(instance.service, instance.id) not in registered
        if is_new and len(registered) >= count_max:
            reason = errors.ERROR_REASON_SERVICE_REGISTRY_FULL
            raise CallerError(reason, "no more are registered", instances_max=count_max)
        ttl = request.time_to_live if request.HasField("time_to_live") else None
        try:
            lease = await self._registrar.register(
                instance, ttl.ToTimedelta().total_seconds() if ttl else None
            )
        except (Unreachable, Refused) as error:
            reason, message = errors.ERROR_REASON_SERVICE_STORE_UNREACHABLE, error.message
            raise TransientError(reason, message, retry_after_s=_RETRY_S) from error
        return pb.RegisterServiceResponse(instance=instance, lease=lease)

    async def RenewService(
        self, request: pb.RenewServiceRequest, _context: Context
    ) -> pb.RenewServiceResponse:
        try:
            await self._registrar.renew(registry.RegistrationLease.FromString(request.lease))
        except (LeaseEnded, DecodeError) as error:
            reason = errors.ERROR_REASON_SERVICE_LEASE_LOST
            raise CallerError(reason, "the instance ran out or was taken out") from error
        return pb.RenewServiceResponse()

    async def DeregisterService(
        self, request: pb.DeregisterServiceRequest, _context: Context
    ) -> pb.DeregisterServiceResponse:
        given = None
        try:
            if request.lease:
                given = registry.RegistrationLease.FromString(request.lease)
            await self._registrar.deregister(key_of(request.name, request.id), given)
        except DecodeError as error:
            reason = errors.ERROR_REASON_SERVICE_LEASE_LOST
            raise CallerError(reason, "that is no lease of ours", field="lease") from error
        except (Unreachable, Refused) as error:
            reason, message = errors.ERROR_REASON_SERVICE_STORE_UNREACHABLE, error.message
            raise TransientError(reason, message, retry_after_s=_RETRY_S) from error
        return pb.DeregisterServiceResponse()

    async def DiscoverService(
        self, request: pb.DiscoverServiceRequest, _context: Context
    ) -> pb.DiscoverServiceResponse:
        await self._view.settled(await self._offers(request.name))
        found = self._view.well(request.name)
        return pb.DiscoverServiceResponse(instances=found, stale=self._view.stale)

    async def InspectService(
        self, request: pb.InspectServiceRequest, _context: Context
    ) -> pb.InspectServiceResponse:
        told = pb.InspectServiceResponse(stale=self._view.stale)
        for one in await self._offers(request.name):
            told.instances.add(instance=one.instance, health=_health(self._view.health(one)))
        return told

    async def ListServices(
        self, request: pb.ListServicesRequest, _context: Context
    ) -> pb.ListServicesResponse:
        await self._known()
        services = self._view.catalogue.services()
        size = min(request.page_size or _PAGE, _PAGE_MAX)
        try:
            page = page_of(list(services), scope="services", token=request.page_token, size=size)
        except TokenInvalid as error:
            reason = errors.ERROR_REASON_PAGE_TOKEN_INVALID
            message = "the page token belongs to no page of this listing"
            raise CallerError(reason, message, field="page_token") from error
        told = pb.ListServicesResponse(next_page_token=page.next_token, stale=self._view.stale)
        for name in page.names:
            offers = services[name]
            told.services.add(
                name=name,
                aliases=sorted({each for one in offers for each in names_of(one)} - {name}),
                contract=offers[0].instance.contract,
                instances_count=len(offers),
                healthy_count=sum(bool(self._view.health(one).well) for one in offers),
            )
        return told

    async def WatchService(
        self, request: pb.WatchServiceRequest, _context: Context
    ) -> AsyncIterator[pb.WatchServiceResponse]:
        known: pb.WatchServiceResponse | None = None
        with self._view.news.heard() as event:
            while True:
                event.clear()
                found = self._view.well(request.name)
                told = pb.WatchServiceResponse(instances=found, stale=self._view.stale)
                if told != known:
                    known = told
                    yield told
                await event.wait()

    async def _offers(self, name: str) -> list[Offer]:
        await self._known()
        found = self._view.catalogue.named(name)
        if not found:
            near = {"near": ", ".join(seen)} if (seen := self._view.catalogue.near(name)) else {}
            reason, message = errors.ERROR_REASON_SERVICE_NOT_FOUND, "nobody has that name"
            raise CallerError(reason, message, field="name", name=name, **near)
        return found

    async def _known(self) -> None:
        try:
            await self._view.known()
        except NotKnown as error:
            reason, message = errors.ERROR_REASON_SERVICE_STORE_UNREACHABLE, error.message
            raise TransientError(reason, message, retry_after_s=_RETRY_S) from error


def _instance(request: pb.RegisterServiceRequest) -> pb.ServiceInstance:
    made = re.sub(r"[^a-z0-9.-]+", "-", request.host.lower()).strip("-.")
    return pb.ServiceInstance(
        service=request.name,
        id=request.id or f"{made}-{request.port}",
        host=request.host,
        port=request.port,
        health_url=request.health_url,
        aliases=request.aliases,
    )


def _health(found: Health) -> pb.ServiceHealth:
    told = pb.ServiceHealth(state=_STATES[found.well], cause=found.cause)
    if found.asked is not None:
        told.check_time.FromDatetime(found.asked)
    return told
