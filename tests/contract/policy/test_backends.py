"""The traffic policy over every registry: two controls, each with a policy agent, share a backend;
the embedded one is reached by the second over the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from services.control.registry.agent import AGENT as REGISTRY
from services.control.traffic_policy.agent import AGENT as TRAFFIC_POLICY
from tandem.control.config.v1 import traffic_policy_pb2 as policy_cfg
from tandem.control.v1 import traffic_policy_service_pb2 as pb
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.testing.parts import short_folder
from tests.cluster.eventually import eventually
from tests.contract.backends import BACKENDS, EVERY, Backend
from tests.unit.services.control.traffic_policy.policies import Caller, failure, shares

# From a change at one control to a watcher at the other: the contract says a second, and this
# machine may be busy.
HEARD_WITHIN_S = 2.0


@asynccontextmanager
async def control(
    address: str, folder: Path, backend: Backend, registry: str = ""
) -> AsyncIterator[Caller]:
    settings = policy_cfg.TrafficPolicySettings(registry=registry)
    placed = [Placed(REGISTRY, backend.settings), Placed(TRAFFIC_POLICY, settings)]
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
    with short_folder() as folder:
        first, second = f"unix:{folder}/first", f"unix:{folder}/second"
        shared = "" if backend.settings.WhichOneof("backend") else first
        async with (
            control(first, tmp_path / "first", backend) as here,
            control(second, tmp_path / "second", backend, shared) as there,
        ):
            yield here, there


async def test_a_change_at_one_control_is_heard_at_the_other(both: tuple[Caller, Caller]) -> None:
    """By a watcher, within a second, both ways; the history is one."""
    clock = SystemClock()
    for version, (changing, hearing) in enumerate((both, both[::-1]), start=1):
        call = hearing.stub.WatchPolicy(pb.WatchPolicyRequest())
        told = aiter(call)
        assert (await anext(told)).version == version - 1
        await changing.set(shares(v1=version), expected_version=version - 1)
        changed_s = clock.monotonic_s()
        assert (await anext(told)).version == version
        assert clock.monotonic_s() - changed_s < HEARD_WITHIN_S
        call.cancel()
    here, there = both
    assert await here.changes() == await there.changes()


async def test_writers_at_both_controls_lose_no_change(both: tuple[Caller, Caller]) -> None:
    """Those who do not care for the version all get theirs; of those who do, one wins."""
    here, there = both
    names = [f"hosts/h{number}" for number in range(10)]
    writers = [(here, there)[number % 2].drain(name) for number, name in enumerate(names)]
    assert sorted(await asyncio.gather(*writers)) == list(range(1, 11))
    assert list((await there.get()).drained_hosts) == names
    rivals = (one.set(shares(v1=part), expected_version=10) for part, one in enumerate(both, 1))
    outcomes = await asyncio.gather(*rivals, return_exceptions=True)
    assert [one for one in outcomes if isinstance(one, int)] == [11]
    assert (await failure(here.undo(9, expected_version=10))).reason == "VERSION_CONFLICT"


async def test_the_policy_outlives_its_backends_restart(
    backend: Backend, both: tuple[Caller, Caller]
) -> None:
    """What was answered is there, and can be undone."""
    here, there = both
    await here.set(shares(v1=1))
    await here.set(shares(v1=1, v2=1))
    await backend.restart()

    async def look() -> int:
        try:
            return await there.version()
        except grpc.aio.AioRpcError as error:
            raise ConnectionError from error

    await eventually(look, lambda version: version == 2)
    assert await there.undo() == 3
    assert list((await here.get()).services) == [shares(v1=1)]
