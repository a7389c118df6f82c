"""Queues in a real NATS, held to the suite and to what a broker adds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tandemkit.core.clock import SystemClock
from tandemkit.storage.queue.places import NatsPlace, Queues, opened
from tandemkit.testing.parts_queues import Broker, nats_broker
from tests.contract.queue.broken import BrokerSuite, Clients
from tests.contract.queue.suite import Case, FateSuite, QueueSuite


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broker() -> AsyncIterator[Broker]:
    async with nats_broker() as broker:
        yield broker


class _Nats(Clients):
    async def client(self, stack: AsyncExitStack, port: int) -> Queues:
        place = NatsPlace((f"nats://127.0.0.1:{port}",))
        return await stack.enter_async_context(opened(place, SystemClock()))


# One loop for the broker and those who kill it.
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.real("nats")
class TestNats(QueueSuite, FateSuite, BrokerSuite):
    @pytest_asyncio.fixture(loop_scope="module")
    async def case(self, broker: Broker) -> AsyncIterator[Case]:
        async with _Nats(broker) as clients:
            yield clients
