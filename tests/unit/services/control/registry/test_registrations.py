"""Values that are no hosts, each under a lease of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from tandem.control.v1 import registry_service_pb2 as pb
from tandem.control.v1 import registry_service_pb2_grpc as rpc
from tandemkit.testing.clock import FakeClock
from tests.unit.services.control.registry.hosts import failure, held, host, watching

CODE = grpc.StatusCode
KEY = "services/ollama/one"


def value(content: bytes = b"one") -> pb.StoredValue:
    return pb.StoredValue(schema="tandem.platform.v1.ServiceInstance", content=content)


async def opened(
    registry: rpc.RegistryServiceAsyncStub, key: str = KEY, content: bytes = b"one"
) -> pb.RegistrationLease:
    ttl = Duration(seconds=5)
    request = pb.OpenRegistrationRequest(key=key, value=value(content), time_to_live=ttl)
    return (await registry.OpenRegistration(request)).lease


def watched(
    registry: rpc.RegistryServiceAsyncStub, prefix: str = "services/"
) -> AsyncIterator[pb.WatchRegistrationsResponse]:
    return aiter(registry.WatchRegistrations(pb.WatchRegistrationsRequest(prefix=prefix)))


async def test_a_registration_lives_by_its_renewals(
    registry: rpc.RegistryServiceAsyncStub, clock: FakeClock
) -> None:
    """And is gone its time to live after the last one."""
    told = watched(registry)
    assert not (await anext(told)).snapshot.registrations
    lease = await opened(registry)
    assert (lease.key, lease.time_to_live.seconds) == (KEY, 5)
    told_of = (await anext(told)).changed.registration
    assert told_of == pb.Registration(key=KEY, value=value(), owner=lease.owner)
    for _ in range(3):
        await clock.advance(4)
        await registry.RenewRegistration(pb.RenewRegistrationRequest(lease=lease))
    await clock.advance(4.9)
    again = watched(registry)
    assert len((await anext(again)).snapshot.registrations) == 1
    await clock.advance(0.2)
    assert (await anext(told)).removed.key == KEY
    lost = await failure(registry.RenewRegistration(pb.RenewRegistrationRequest(lease=lease)))
    assert (lost.code, lost.reason) == (CODE.FAILED_PRECONDITION, "LEASE_LOST")
    await registry.CloseRegistration(pb.CloseRegistrationRequest(lease=lease))


async def test_a_later_registration_of_the_key_wins_without_a_gap(
    registry: rpc.RegistryServiceAsyncStub, clock: FakeClock
) -> None:
    """The end of the earlier one takes nothing from it."""
    told = watched(registry)
    await anext(told)
    first = await opened(registry)
    second = await opened(registry, content=b"two")
    await registry.CloseRegistration(pb.CloseRegistrationRequest(lease=first))
    changes = [(await anext(told)).changed.registration.value.content for _ in range(2)]
    assert changes == [b"one", b"two"]
    await registry.CloseRegistration(pb.CloseRegistrationRequest(lease=second))
    assert (await anext(told)).removed.key == KEY


async def test_hosts_and_registrations_do_not_meet(registry: rpc.RegistryServiceAsyncStub) -> None:
    """Who watches the ones is not told of the others, and no key of theirs can be taken."""
    told = watched(registry)
    await anext(told)
    async with watching(registry) as hosts:
        await anext(hosts)
        await opened(registry)
        await held(registry, host())
        await opened(registry, "services/ollama/two")
        keys = [(await anext(told)).changed.registration.key for _ in range(2)]
        assert keys == [KEY, "services/ollama/two"]
        assert (await anext(hosts)).changed.host == host()
    taken = pb.OpenRegistrationRequest(key="hosts/a", value=value())
    assert (await failure(registry.OpenRegistration(taken))).code is CODE.INVALID_ARGUMENT


@pytest.mark.parametrize("key", ["services/../x", "services/a//b", "services/"])
async def test_a_key_that_is_none_is_refused(
    registry: rpc.RegistryServiceAsyncStub, key: str
) -> None:
    """Whichever rule says so, nothing is registered."""
    request = pb.OpenRegistrationRequest(key=key, value=value())
    assert (await failure(registry.OpenRegistration(request))).code is CODE.INVALID_ARGUMENT
    assert not (await anext(watched(registry))).snapshot.registrations
