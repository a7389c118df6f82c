"""The service registry over every registry: one suite, two agents. On Consul and Redis each has a
control of its own; the embedded registry is one control's, which both callers then share.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest

from services.control.registry.agent import AGENT as REGISTRY
from services.platform.service_registry.agent import AGENT
from tandem.platform.config.v1 import service_registry_pb2 as cfg
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.testing.parts import short_folder
from tests.cluster.eventually import eventually
from tests.contract.backends import BACKENDS, EVERY, Backend
from tests.unit.services.platform.service_registry.service_registries import (
    Caller,
    ports_of,
    refusal,
    web_server,
)

TTL_S = 2.0
# What a sweep of the backend, and a watch on its way to the other control, may add.
LATE_S_MAX = 1.0


@asynccontextmanager
async def agent(address: str, folder: Path, backend: Backend) -> AsyncIterator[Caller]:
    settings = cfg.ServiceRegistrySettings()
    settings.check_interval.FromSeconds(1)
    placed = [Placed(REGISTRY, backend.settings), Placed(AGENT, settings)]
    async with (
        hosting(placed, Place(address, folder, SystemClock(), 0.0)),
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield Caller(channel)


@pytest.fixture(params=EVERY)
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    async with BACKENDS[request.param]() as one:
        yield one


@pytest.fixture
async def both(backend: Backend, tmp_path: Path) -> AsyncIterator[tuple[Caller, Caller]]:
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(short_folder())
        first = agent(f"unix:{folder}/first", tmp_path / "first", backend)
        here = await stack.enter_async_context(first)
        if not backend.settings.WhichOneof("backend"):
            yield here, here
            return
        second = agent(f"unix:{folder}/second", tmp_path / "second", backend)
        yield here, await stack.enter_async_context(second)


async def test_m003_an_instance_that_stops_renewing_disappears_within_its_time_to_live(
    both: tuple[Caller, Caller], backend: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not before: one that renews stays, seen from either agent."""
    here, there = both
    clock = SystemClock()
    lease = (await here.register(1, TTL_S)).lease
    stays = (await here.register(2, 600)).lease
    async with there.watching() as told:
        await ports_of(told, [1, 2])
        renewed_s = clock.monotonic_s()
        for _ in range(4):
            await clock.sleep(TTL_S / 3)
            renewed_s = clock.monotonic_s()
            await there.renew(lease)
        assert await there.discover() == [1, 2]
        await ports_of(told, [2])
        gone_s = clock.monotonic_s() - renewed_s
    kind = backend.settings.WhichOneof("backend") or "embedded"
    with capsys.disabled():
        sys.stdout.write(f"\n{kind}: gone {gone_s:.2f} s after its last renewal, of {TTL_S:g} s")
    assert TTL_S - LATE_S_MAX < gone_s < TTL_S + LATE_S_MAX
    assert (await refusal(here.renew(lease))).reason == "SERVICE_LEASE_LOST"
    await here.renew(stays)


async def test_what_is_registered_at_one_is_found_at_the_other(
    both: tuple[Caller, Caller],
) -> None:
    """By name and alias; taken out at one, it is gone at the other."""
    here, there = both
    async with there.watching("llm") as told:
        await ports_of(told, [])
        await here.register(1, 600, aliases=["llm"])
        await ports_of(told, [1])
        await here.register(3, 600, aliases=["llm"])
        await ports_of(told, [1, 3])
        await here.deregister("127.0.0.1-1")
        await ports_of(told, [3])
    assert await here.discover() == await there.discover() == [3]


async def test_only_those_that_are_well_are_discovered_at_either(
    both: tuple[Caller, Caller],
) -> None:
    """Each agent asks for itself."""
    here, there = both
    async with web_server() as server:
        async with there.watching() as told:
            await ports_of(told, [])
            await here.register(server.port, 600, health_url=server.url)
            await ports_of(told, [server.port])
            assert await there.discover() == await here.discover() == [server.port]
            server.well = False
            await ports_of(told, [])
        assert await there.discover() == []


async def test_an_instance_of_two_is_the_later_ones(both: tuple[Caller, Caller]) -> None:
    """Whichever agent it was registered at; the end of the earlier lease takes nothing from it."""
    here, there = both
    first = (await here.register(1, TTL_S, id="one")).lease
    second = (await there.register(2, 600, id="one")).lease
    async with here.watching() as told:
        await ports_of(told, [2])
        await SystemClock().sleep(TTL_S + LATE_S_MAX)
        assert (await refusal(there.renew(first))).reason == "SERVICE_LEASE_LOST"
        await there.renew(second)
        assert await here.discover() == [2]


async def test_what_is_kept_outlives_the_backends_restart(
    both: tuple[Caller, Caller], backend: Backend
) -> None:
    """As does what renews itself, which was promised its time."""
    here, there = both
    await here.register(1)
    await here.register(2, 600)
    await backend.restart()

    async def look() -> list[int]:
        try:
            return await there.discover()
        except grpc.aio.AioRpcError as error:
            raise ConnectionError from error

    await eventually(look, lambda ports: ports == [1, 2])


async def test_a_renewal_may_overtake_the_word_of_the_registration(
    both: tuple[Caller, Caller],
) -> None:
    """An agent that has not heard of the instance yet waits for it, and does not call it gone."""
    here, there = both
    for number in range(10):
        lease = (await here.register(number + 1, 600)).lease
        await there.renew(lease)
