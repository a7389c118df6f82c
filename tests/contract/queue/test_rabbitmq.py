"""Queues in a real RabbitMQ, held to the suite and to what a broker adds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tandemkit.core.clock import SystemClock
from tandemkit.storage.queue.places import Queues, RabbitmqPlace, opened
from tandemkit.testing.parts_queues import Broker, rabbitmq_broker
from tests.contract.queue.broken import BrokerSuite, Clients
from tests.contract.queue.suite import Case, FateSuite, QueueSuite


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broker() -> AsyncIterator[Broker]:
    async with rabbitmq_broker() as broker:
        yield broker


class _Rabbitmq(Clients):
    async def client(self, stack: AsyncExitStack, port: int) -> Queues:
        place = RabbitmqPlace("127.0.0.1", port, settle_s=self.settle_s)
        return await stack.enter_async_context(opened(place, SystemClock()))


# One loop for the broker and those who kill it.
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.real("rabbitmq")
class TestRabbitmq(QueueSuite, FateSuite, BrokerSuite):
    @pytest_asyncio.fixture(loop_scope="module")
    async def case(self, broker: Broker) -> AsyncIterator[Case]:
        async with _Rabbitmq(broker) as clients:
            yield clients
