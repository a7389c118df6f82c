"""Services that are no agents, and where agents are, in the fleet's one registry. Contract:
tandem.platform.v1.ServiceRegistryService.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from ipaddress import ip_network
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.duration_pb2 import Duration

from services.platform.service_registry.catalogue import PREFIX, key_of
from services.platform.service_registry.checking import Checker, Pace
from services.platform.service_registry.following import Following
from services.platform.service_registry.leases import Keeper, LeaseEnded
from services.platform.service_registry.pacing import PREFIX as CONFIGURED
from services.platform.service_registry.pacing import Pacing
from services.platform.service_registry.servicer import INSTANCES_MAX, Registrar, Services
from services.platform.service_registry.view import View
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandem.options.v1 import options_pb2 as options
from tandem.platform.config.v1 import service_registry_pb2 as cfg
from tandem.platform.v1 import config_server_service_pb2
from tandem.platform.v1 import errors_pb2 as errors
from tandem.platform.v1 import service_registry_service_pb2 as pb
from tandemkit.core.errors import TransientError
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.configuration import follow
from tandemkit.hosting.news import News
from tandemkit.hosting.scope import Scope
from tandemkit.reach.allowed import Allowed
from tandemkit.reach.probes import probe
from tandemkit.rpc.remote import RemoteFailure

_RETRY_S = 1.0
_CHECK_WITHIN_S = 2.0
_CODE = grpc.StatusCode


class StubbedRegistry:
    """The fleet's registry behind its stub."""

    def __init__(self, stub: registry_rpc.RegistryServiceAsyncStub) -> None:
        self._stub = stub

    async def open(self, instance: pb.ServiceInstance, ttl_s: float) -> registry.RegistrationLease:
        schema, content = instance.DESCRIPTOR.full_name, instance.SerializeToString()
        ttl = Duration()
        ttl.FromNanoseconds(int(ttl_s * 1e9))
        request = registry.OpenRegistrationRequest(
            key=key_of(instance.service, instance.id),
            value=registry.StoredValue(schema=schema, content=content),
            time_to_live=ttl,
        )
        with _answering():
            return (await self._stub.OpenRegistration(request)).lease

    async def renew(self, lease: registry.RegistrationLease) -> None:
        request = registry.RenewRegistrationRequest(lease=lease)
        try:
            await self._stub.RenewRegistration(request)
        except grpc.aio.AioRpcError as error:
            if error.code() in {_CODE.FAILED_PRECONDITION, _CODE.INVALID_ARGUMENT}:
                raise LeaseEnded from error
            raise _lost(error) from error

    async def close(self, lease: registry.RegistrationLease) -> None:
        with _answering():
            await self._stub.CloseRegistration(registry.CloseRegistrationRequest(lease=lease))

    async def registrations(self) -> AsyncGenerator[registry.WatchRegistrationsResponse, None]:
        request = registry.WatchRegistrationsRequest(prefix=PREFIX)
        call: Any = self._stub.WatchRegistrations(request)
        try:
            with _answering():
                async for told in call:
                    yield told
        finally:
            call.cancel()

    async def hosts(self) -> AsyncGenerator[registry.WatchHostsResponse, None]:
        call: Any = self._stub.WatchHosts(registry.WatchHostsRequest())
        try:
            with _answering():
                async for told in call:
                    yield told
        finally:
            call.cancel()

    async def aliases(self, digest: str, service: str) -> tuple[str, ...]:
        try:
            request = registry.GetValueRequest(key=f"contracts/{digest}")
            found = await self._stub.GetValue(request)
        except grpc.aio.AioRpcError as error:
            if error.code() is _CODE.NOT_FOUND:
                return ()
            raise _lost(error) from error
        for file in FileDescriptorSet.FromString(found.value.content).file:
            for one in file.service:
                if f"{file.package}.{one.name}" == service:
                    return tuple(one.options.Extensions[options.aliases])
        return ()


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise _lost(error) from error


def _lost(error: grpc.aio.AioRpcError) -> TransientError:
    cause = RemoteFailure.of(error).message
    reason = errors.ERROR_REASON_SERVICE_STORE_UNREACHABLE
    message = "the fleet's registry does not answer"
    return TransientError(reason, message, retry_after_s=_RETRY_S, cause=cause)


def _pace(settings: cfg.ServiceRegistrySettings) -> Pace:
    standard = Pace()
    interval_s = standard.interval_s
    if settings.HasField("check_interval"):
        interval_s = settings.check_interval.ToTimedelta().total_seconds()
    return Pace(interval_s, settings.failures_max or standard.failures_max)


@asynccontextmanager
async def build(scope: Scope, settings: cfg.ServiceRegistrySettings) -> AsyncIterator[Services]:
    within_s = _CHECK_WITHIN_S
    if settings.HasField("check_within"):
        within_s = settings.check_within.ToTimedelta().total_seconds()
    source = StubbedRegistry(scope.stub(registry_rpc.RegistryServiceStub))
    news = News()
    following = Following(source, scope.clock, news)
    networks = [ip_network(one) for one in settings.allowed_networks]
    allowed = Allowed(networks, following.catalogue.machines)
    ask = partial(probe, allowed=allowed, within_s=within_s)
    checker = Checker(ask, scope.clock, _pace(settings), news)
    pacing = Pacing(checker, await follow(scope, CONFIGURED), _pace(settings))
    view = View(following, checker, news, within_s)
    keeper = Keeper(source, await scope.state(), scope.clock)
    await keeper.load()
    scope.ready_when(view.known)
    for name, work in (
        ("registrations", following.follow_registrations()),
        ("hosts", following.follow_hosts()),
        ("contracts", following.follow_contracts()),
        ("checks", checker.run()),
        ("checked", view.check_what_there_is()),
        ("kept", keeper.run()),
        ("pace", pacing.run()),
    ):
        scope.spawn(name, work)
    registrar = Registrar(source, keeper, view, allowed)
    yield Services(registrar, view, scope.clock, settings.instances_max or INSTANCES_MAX)


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.ServiceRegistrySettings,
    calls=(registry.DESCRIPTOR,),
    soft_calls=(config_server_service_pb2.DESCRIPTOR,),
    build=build,
)
main = AGENT.main
