"""Queues in RabbitMQ: quorum queues with publisher confirms; what waits for its time stands in
queues whose messages expire into the one that they are for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aio_pika
from aio_pika.abc import (
    AbstractIncomingMessage,
)

from tandemkit.core.clock import Clock
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.queue.hand import Hand
from tandemkit.storage.queue.link import ANSWER_S_MAX, Link
from tandemkit.storage.queue.places import RabbitmqPlace
from tandemkit.storage.queue.protocol import (
    DEAD_MAX,
    Dead,
    Delivery,
    Depth,
    Message,
    check_delay,
    check_message,
    check_name,
    check_prefetch,
)
from tandemkit.storage.queue.rabbitmq_consumer import (
    ATTEMPT,
    DUE,
    LOSSES,
    WHY,
    Consumer,
    RabbitmqDelivery,
    RabbitmqSession,
    answering,
    message_of,
)
from tandemkit.storage.queue.rabbitmq_layout import Layout
from tandemkit.supervise.tasks import Tasks

_HEARTBEAT_S = 4
_AGAIN_S = 0.1


class RabbitmqQueues:
    """As many queues as one likes on one connection, from `rabbitmq_queues`."""

    def __init__(self, place: RabbitmqPlace, clock: Clock) -> None:
        self.place, self.clock = place, clock
        self.link: Link[RabbitmqSession] = Link(self._connected, "RabbitMQ", clock)
        self.check = self.link.check

    def queue(self, name: str, attempts_max: int) -> RabbitmqQueue:
        """Raises ValueError for what is no name."""
        check_name(name)
        return RabbitmqQueue(self, name, attempts_max)

    def now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[RabbitmqSession]:
        place = self.place
        with answering():
            connection = await aio_pika.connect(
                host=place.host,
                port=place.port,
                login=place.user,
                password=place.password(),
                virtualhost=place.virtual_host,
                ssl=place.trust is not None,
                ssl_context=place.trust,
                timeout=ANSWER_S_MAX,
                heartbeat=_HEARTBEAT_S,
            )
        try:
            with answering():
                channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                session = RabbitmqSession(connection, channel, channel.default_exchange)
            connection.close_callbacks.add(lambda *_: session.lost.set())
            channel.close_callbacks.add(lambda *_: session.lost.set())
            yield session
        finally:
            with suppress(*LOSSES):
                async with asyncio.timeout(1):
                    await connection.close()


class RabbitmqQueue:
    """`tandemkit.storage.queue.protocol.Queue`."""

    def __init__(self, queues: RabbitmqQueues, name: str, attempts_max: int) -> None:
        self.queues, self.attempts_max = queues, attempts_max
        self.now_ms = queues.now_ms
        self.name = f"{queues.place.prefix}.{name}"
        # The session for which these queues are known to be there.
        self._made: tuple[RabbitmqSession, Layout] | None = None
        # What consumers of this process have.
        self._consumers: list[Consumer] = []

    async def publish(self, message_id: str, content: bytes, delay_s: float = 0.0) -> None:
        check_message(message_id, content)
        check_delay(delay_s)
        await self.send(Message(message_id, content), delay_s)

    async def send(self, message: Message, delay_s: float, why: str = "") -> None:
        """Confirmed by the broker when it returns."""
        headers: dict[str, Any] = {ATTEMPT: message.attempt}
        target = self.name
        if why:
            headers[WHY], target = why, f"{self.name}.dead"
        elif delay_s:
            headers[DUE] = self.now_ms() + int(delay_s * 1000)
        sent = aio_pika.Message(
            message.content,
            headers=headers,
            message_id=message.id,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await self._put(sent, target, int(delay_s * 1000))

    async def delayed(self, received: AbstractIncomingMessage, rest_ms: int) -> None:
        """Another wait, where one was shorter than the whole."""
        sent = aio_pika.Message(
            received.body,
            headers=received.headers,
            message_id=received.message_id,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await self._put(sent, self.name, rest_ms)

    async def session(self) -> tuple[RabbitmqSession, Layout]:
        """With the queues that this one needs, which are looked for again on each connection."""
        session = await self.queues.link.session()
        if self._made is None or self._made[0] is not session:
            layout = Layout(self.name, self.queues.place.settle_s, self.queues.clock)
            await layout.make(session)
            self._made = session, layout
        return self._made

    @asynccontextmanager
    async def consume(self, prefetch: int) -> AsyncIterator[AsyncIterator[Delivery]]:
        check_prefetch(prefetch)
        hand: Hand[RabbitmqDelivery] = Hand()
        async with Tasks() as tasks:
            tasks.spawn(f"queue:{self.name}", self._run(hand, prefetch))
            yield hand
            await tasks.end()

    async def depth(self) -> Depth:
        session, layout = await self.session()
        taken = sum(len(one.taken) for one in self._consumers)
        dead = await layout.count(session, layout.dead)
        return Depth(await layout.open_(session) + taken, dead)

    async def dead(self, limit: int = DEAD_MAX) -> tuple[Dead, ...]:
        async with self._getting(limit) as buried:
            found = [one async for one in buried]
        return tuple(Dead(message_of(one), str(one.headers.get(WHY, "rejected"))) for one in found)

    async def revive(self, limit: int = DEAD_MAX) -> int:
        revived = 0
        async with self._getting(limit) as buried:
            async for one in buried:
                await self.send(Message(one.message_id or "", one.body), 0)
                with answering():
                    await one.ack()
                revived += 1
        return revived

    @asynccontextmanager
    async def _getting(self, limit: int) -> AsyncIterator[AsyncIterator[AbstractIncomingMessage]]:
        """Dead letters one by one; those that are not acknowledged stay."""
        session, layout = await self.session()
        with answering():
            channel = await session.connection.channel()
            queue = await channel.get_queue(layout.dead, ensure=False)

        async def each() -> AsyncIterator[AbstractIncomingMessage]:
            for _ in range(limit):
                with answering():
                    found = await queue.get(fail=False, timeout=ANSWER_S_MAX)
                if found is None:
                    return
                yield found

        try:
            yield each()
        finally:
            with suppress(*LOSSES):
                await channel.close()

    async def _put(self, sent: aio_pika.Message, target: str, delay_ms: int) -> None:
        session, layout = await self.session()
        if delay_ms > 0:
            target = await layout.waiting_room(session, delay_ms)
        with answering():
            await session.exchange.publish(sent, target, mandatory=True, timeout=ANSWER_S_MAX)

    async def _run(self, hand: Hand[RabbitmqDelivery], prefetch: int) -> None:
        """A consumer on each connection, one after the other."""
        while True:
            await self.queues.link.next_session()
            with suppress(Unreachable):
                session, _layout = await self.session()
                consumer = Consumer(self, session, hand)
                self._consumers.append(consumer)
                try:
                    await consumer.run(prefetch)
                finally:
                    self._consumers.remove(consumer)
            await self.queues.clock.sleep(_AGAIN_S)


@asynccontextmanager
async def rabbitmq_queues(place: RabbitmqPlace, clock: Clock) -> AsyncIterator[RabbitmqQueues]:
    """The queues there; connects by itself, now and whenever it is lost."""
    queues = RabbitmqQueues(place, clock)
    async with Tasks() as tasks:
        tasks.spawn("queue:link", queues.link.run())
        yield queues
