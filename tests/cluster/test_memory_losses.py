"""Memories under concurrent callers, while replicas and store are killed and links are cut: nothing
acknowledged is lost, nothing deleted returns.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tandem.fleet.v1 import state_pb2 as cfg
from tandemkit.core.clock import SystemClock
from tandemkit.testing.parts_storage import durable_redis_server
from tandemkit.testing.relay import Relay, relay_to
from tests.cluster.aloud import Tell
from tests.cluster.eventually import eventually
from tests.cluster.memory_history import Heard, Operation, faults, repeated
from tests.cluster.remembering import Callers, Replica

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]
_CLOCK = SystemClock()
CALLERS = 8
Trouble = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Deployment:
    """Replicas, and what may befall them."""

    replicas: Sequence[Replica]
    troubles: Sequence[Trouble]


@asynccontextmanager
async def alone(folder: Path) -> AsyncIterator[Deployment]:
    """One, on SQLite."""
    async with AsyncExitStack() as stack:
        replica = Replica("alone", folder, cfg.StateStore(), stack)
        await replica.start()
        yield Deployment([replica], [_killing(replica)])


@asynccontextmanager
async def shared(folder: Path) -> AsyncIterator[Deployment]:
    """Two, each with a link of its own to one Redis."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(durable_redis_server())
        replicas: list[Replica] = []
        troubles: list[Trouble] = []

        async def restart_store() -> None:
            await redis.kill()
            await redis.start()

        for name in ("one", "two"):
            connect = partial(asyncio.open_unix_connection, redis.socket)
            relay, port = await stack.enter_async_context(relay_to(connect))
            store = cfg.StateStore(redis=cfg.StateRedis(address=f"127.0.0.1:{port}"))
            replica = Replica(name, folder, store, stack)
            await replica.start()
            replicas.append(replica)
            troubles += [_killing(replica), partial(_cut, relay)]
        yield Deployment(replicas, [*troubles, restart_store])


async def _cut(relay: Relay) -> None:
    relay.cut()
    await _CLOCK.sleep(1.0)
    relay.heal()


def _killing(replica: Replica) -> Trouble:
    async def kill() -> None:
        await replica.kill()
        await replica.start()

    return kill


@pytest.mark.parametrize(
    ("deploy", "troubles"), [(alone, 4), (shared, 10)], ids=["alone", "shared"]
)
async def test_nothing_acknowledged_is_lost_and_nothing_deleted_returns(
    deploy: Callable[[Path], AbstractAsyncContextManager[Deployment]],
    troubles: int,
    tmp_path: Path,
    tell: Tell,
) -> None:
    """Each memory's history is linearizable over all replicas and restarts, searches among it, and
    no listing has one twice.
    """
    draw = random.Random(20261122)
    async with deploy(tmp_path) as deployment:
        addresses = [one.address for one in deployment.replicas]
        callers = Callers(addresses, draw)
        async with callers.connected():
            await _trouble(callers, deployment, troubles, draw)
            for address in addresses:
                assert repeated(await eventually(partial(callers.listed, address))) == []
                await callers.look(address)
    tell("operations", _counted(callers.told))
    assert faults(callers.told) == []


async def _trouble(
    callers: Callers, deployment: Deployment, count: int, draw: random.Random
) -> None:
    is_over = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for number in range(CALLERS):
            tasks.create_task(callers.call(number, is_over.is_set))
        for _ in range(count):
            await _CLOCK.sleep(draw.uniform(0.5, 1.5))
            await draw.choice(deployment.troubles)()
        is_over.set()


def _counted(told: Sequence[Operation]) -> str:
    counts = Counter((one.deed.value, one.heard.value) for one in told)
    heard = sum(count for (_, how), count in counts.items() if how != Heard.UNKNOWN.value)
    each = ", ".join(f"{deed} {how} {count}" for (deed, how), count in sorted(counts.items()))
    return f"{len(told)}, of which {heard} were heard of: {each}"
