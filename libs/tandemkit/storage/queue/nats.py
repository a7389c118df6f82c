"""Queues in NATS JetStream: a stream per queue, whose consumer all processes share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import nats
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from tandemkit.core.clock import Clock
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.queue.hand import Hand
from tandemkit.storage.queue.link import ANSWER_S_MAX, Link
from tandemkit.storage.queue.nats_consumer import (
    ATTEMPT,
    DUE,
    DURABLE,
    ID,
    SILENCE_S_MAX,
    WHY,
    NatsDelivery,
    NatsSession,
    Puller,
    answering,
    message_of,
)
from tandemkit.storage.queue.places import NatsPlace
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
from tandemkit.supervise.tasks import Tasks

_AGAIN_S = 0.1


class NatsQueues:
    """As many queues as one likes on one connection, from `nats_queues`."""

    def __init__(self, place: NatsPlace, clock: Clock) -> None:
        self.place, self.clock = place, clock
        self.link: Link[NatsSession] = Link(self._connected, "NATS", clock)
        self.check = self.link.check

    def queue(self, name: str, attempts_max: int) -> NatsQueue:
        """Raises ValueError for what is no name."""
        check_name(name)
        return NatsQueue(self, name, attempts_max)

    def now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[NatsSession]:
        lost = asyncio.Event()

        async def closed() -> None:
            lost.set()

        async def failed(_error: Exception) -> None:
            """What it is shows in what fails by it."""

        place = self.place
        options: dict[str, Any] = {"tls": place.trust} if place.trust else {}
        if place.token:
            options["token"] = place.token()
        if place.credentials:
            options["user_credentials"] = str(place.credentials)
        with answering():
            client = await nats.connect(
                list(place.servers),
                allow_reconnect=False,
                connect_timeout=int(ANSWER_S_MAX),
                # A dead link shows within that.
                ping_interval=2,
                max_outstanding_pings=2,
                closed_cb=closed,
                disconnected_cb=closed,
                error_cb=failed,
                **options,
            )
        try:
            yield NatsSession(client, client.jetstream(timeout=ANSWER_S_MAX), lost)
        finally:
            lost.set()
            with suppress(nats.errors.Error, OSError):
                await client.close()


class NatsQueue:
    """`tandemkit.storage.queue.protocol.Queue`."""

    def __init__(self, queues: NatsQueues, name: str, attempts_max: int) -> None:
        self.queues, self.attempts_max = queues, attempts_max
        self.clock, self.now_ms = queues.clock, queues.now_ms
        self.stream = f"{queues.place.prefix}-{name}"
        self.subject = f"{queues.place.prefix}.{name}.work"
        self.dead_stream, self.dead_subject = f"{self.stream}-dead", f"{self.subject[:-4]}dead"
        # The session for which the streams are known to be there.
        self._made: NatsSession | None = None

    async def publish(self, message_id: str, content: bytes, delay_s: float = 0.0) -> None:
        check_message(message_id, content)
        check_delay(delay_s)
        await self.send(Message(message_id, content), delay_s)

    async def send(self, message: Message, delay_s: float, why: str = "") -> None:
        """On disk as far as the server's `sync_interval` says, when it returns."""
        headers = {ID: message.id, ATTEMPT: str(message.attempt)}
        if delay_s:
            headers[DUE] = str(self.now_ms() + int(delay_s * 1000))
        if why:
            headers[WHY] = why.replace("\r", " ").replace("\n", " ").strip() or "-"
        subject = self.dead_subject if why else self.subject
        with answering():
            session = await self.session()
            await session.stream.publish(
                subject, message.content, timeout=ANSWER_S_MAX, headers=headers
            )

    async def session(self) -> NatsSession:
        """With the streams that the queue needs."""
        session = await self.queues.link.session()
        if self._made is not session:
            with answering():
                await self._make(session.stream)
            self._made = session
        return session

    @asynccontextmanager
    async def consume(self, prefetch: int) -> AsyncIterator[AsyncIterator[Delivery]]:
        check_prefetch(prefetch)
        hand: Hand[NatsDelivery] = Hand()
        async with Tasks() as tasks:
            tasks.spawn(f"queue:{self.stream}", self._run(hand, prefetch))
            yield hand
            await tasks.end()

    async def depth(self) -> Depth:
        with answering():
            stream = (await self.session()).stream
            work = await stream.stream_info(self.stream)
            dead = await stream.stream_info(self.dead_stream)
        return Depth(work.state.messages, dead.state.messages)

    async def dead(self, limit: int = DEAD_MAX) -> tuple[Dead, ...]:
        return tuple([dead async for _, dead in self._buried(limit)])

    async def revive(self, limit: int = DEAD_MAX) -> int:
        revived = 0
        async for number, dead in self._buried(limit):
            await self.send(Message(dead.message.id, dead.message.content), 0)
            with answering():
                await (await self.session()).stream.delete_msg(self.dead_stream, number)
            revived += 1
        return revived

    async def _buried(self, limit: int) -> AsyncIterator[tuple[int, Dead]]:
        with answering():
            stream = (await self.session()).stream
            state = (await stream.stream_info(self.dead_stream)).state
        number = state.first_seq
        while limit and number <= state.last_seq:
            with answering():
                try:
                    found = await stream.get_msg(self.dead_stream, number)
                except NotFoundError:
                    number += 1
                    continue
            headers = found.headers or {}
            message = message_of(headers, found.data or b"", 0)
            yield number, Dead(message, headers.get(WHY, ""))
            number, limit = number + 1, limit - 1

    async def _make(self, stream: JetStreamContext) -> None:
        for name, subject, retention in (
            (self.stream, self.subject, api.RetentionPolicy.WORK_QUEUE),
            (self.dead_stream, self.dead_subject, api.RetentionPolicy.LIMITS),
        ):
            config = api.StreamConfig(
                name=name,
                subjects=[subject],
                retention=retention,
                storage=api.StorageType.FILE,
                num_replicas=self.queues.place.replicas,
            )
            try:
                await stream.stream_info(name)
            except NotFoundError:
                await stream.add_stream(config)
        consumer = api.ConsumerConfig(
            durable_name=DURABLE,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=SILENCE_S_MAX,
            # Delayed messages count as taken, so how many are is for the consumers to bound.
            max_ack_pending=-1,
            max_deliver=-1,
        )
        await stream.add_consumer(self.stream, consumer)

    async def _run(self, hand: Hand[NatsDelivery], prefetch: int) -> None:
        """A puller for each connection, one after the other."""
        while True:
            await self.queues.link.next_session()
            with suppress(Unreachable):
                session = await self.session()
                puller = Puller(self, session, hand, prefetch)
                with answering():
                    await puller.run()
            await self.clock.sleep(_AGAIN_S)


@asynccontextmanager
async def nats_queues(place: NatsPlace, clock: Clock) -> AsyncIterator[NatsQueues]:
    """The queues there; connects by itself, now and whenever it is lost."""
    queues = NatsQueues(place, clock)
    async with Tasks() as tasks:
        tasks.spawn("queue:link", queues.link.run())
        yield queues
