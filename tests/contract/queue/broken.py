"""What queues of a broker promise when it dies, or the way to it: one suite for those backends."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Self

import pytest

from tandemkit.reach.failure import Unreachable
from tandemkit.storage.queue.places import Queues
from tandemkit.storage.queue.protocol import Depth
from tandemkit.testing.parts import free_ports
from tandemkit.testing.parts_queues import Broker
from tandemkit.testing.relay import Relay
from tests.contract.queue.suite import named, new_name, next_of, until_depth


class Clients:
    """Clients of one broker, directly or through a relay."""

    # Only who kills the broker has to wait for it to write down that there is a new queue.
    settle_s = 0.0

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self._stack = AsyncExitStack()

    @abstractmethod
    async def client(self, stack: AsyncExitStack, port: int) -> Queues: ...

    async def open(self) -> Queues:
        return await self.client(self._stack, self.broker.port)

    async def reopen(self) -> Queues:
        await self._stack.aclose()
        return await self.open()

    @asynccontextmanager
    async def through(self) -> AsyncIterator[tuple[Relay, Queues]]:
        (port,) = free_ports(1)
        relay = Relay(lambda: asyncio.open_connection("127.0.0.1", self.broker.port))
        server = await asyncio.start_server(relay.serve, "127.0.0.1", port)
        async with AsyncExitStack() as stack:
            try:
                yield relay, await self.client(stack, port)
                await stack.aclose()
            finally:
                relay.abort()
                server.close()
                await server.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()


class BrokerSuite:
    async def test_what_was_confirmed_survives_kill_9_of_the_broker(self, case: Clients) -> None:
        """Ready, delayed, taken and dead; publisher and consumer go on by themselves."""
        case.settle_s = 2.5
        queue = named(await case.open())
        await queue.publish("dead", b"")
        await queue.publish("taken", b"")
        await queue.publish("later", b"", delay_s=3)
        async with queue.consume(2) as deliveries:
            await (await next_of(deliveries)).bury("why not")
            taken = await next_of(deliveries)
            await queue.publish("ready", b"")
            await case.broker.kill()
            with pytest.raises(Unreachable):
                await queue.publish("lost", b"")
            await case.broker.start()
            await taken.ack()  # of a connection that is gone: it comes again, or not
            await queue.publish("after", b"")
            found: set[str] = set()
            while not {"ready", "later", "after"} <= found:
                delivery = await next_of(deliveries)
                found.add(delivery.message.id)
                await delivery.ack()
            # An acknowledgement on its way may be lost, and what it was for comes again.
            assert found <= {"dead", "taken", "ready", "later", "after"}
            assert [one.message.id for one in await queue.dead()] == ["dead"]

    async def test_a_consumer_goes_on_after_its_connection_was_reset(self, case: Clients) -> None:
        """What it had comes again, by the new connection."""
        async with case.through() as (relay, queues):
            queue = named(queues)
            await queue.publish("one", b"")
            async with queue.consume(1) as deliveries:
                stale = await next_of(deliveries)
                relay.abort()
                again = await next_of(deliveries)
                assert (again.message.id, again.message.attempt) == ("one", 2)
                await stale.ack()
                await again.ack()
                await queue.publish("two", b"")
                await (await next_of(deliveries)).ack()
                await until_depth(queue, Depth(0, 0))

    async def test_a_link_that_carries_nothing_is_noticed(self, case: Clients) -> None:
        """Neither end is told; a publisher hears of it, another consumer gets the message, and the
        first one comes back.
        """
        name = new_name()
        direct = named(await case.open(), name)
        async with case.through() as (relay, queues):
            queue = named(queues, name)
            await queue.publish("one", b"")
            async with queue.consume(1) as deliveries:
                await next_of(deliveries)
                relay.cut()
                with pytest.raises(Unreachable):
                    await queue.publish("lost", b"")
                async with direct.consume(1) as others:
                    again = await next_of(others, 30)
                    assert again.message.id == "one"
                    await again.ack()
                relay.heal()
                await direct.publish("two", b"")
                two = await next_of(deliveries, 30)
                assert two.message.id == "two"
                await two.ack()

    async def test_a_publisher_waits_for_a_broker_that_comes(self, case: Clients) -> None:
        """A while, and then it is told; nothing of it has to be made anew."""
        await case.broker.kill()
        try:
            queue = named(await case.open())
            with pytest.raises(Unreachable):
                await queue.publish("early", b"")
        finally:
            await case.broker.start()
        await queue.publish("one", b"")
        await until_depth(queue, Depth(1, 0))
