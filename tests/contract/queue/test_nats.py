"""Queues in a real NATS, held to the suite and to what a broker adds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tandemkit.core.clock import SystemClock
from tandemkit.reach.failure import Unreachable
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


@pytest.mark.real("nats")
async def test_a_token_is_asked_for_at_each_connect() -> None:
    """Who shows a wrong one is let in once it is the right one, and nothing is made anew."""
    tokens = ["wrong"]
    async with nats_broker("right") as broker:
        place = NatsPlace((f"nats://127.0.0.1:{broker.port}",), token=lambda: tokens[0])
        async with opened(place, SystemClock()) as queues:
            queue = queues.queue("guarded", 3)
            with pytest.raises(Unreachable):
                await queue.publish("one", b"")
            tokens[0] = "right"
            await queue.publish("one", b"")
            assert (await queue.depth()).open_ == 1
