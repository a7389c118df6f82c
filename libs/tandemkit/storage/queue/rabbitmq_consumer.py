"""A consumer of a queue of RabbitMQ, on one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractExchange,
    AbstractIncomingMessage,
)
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelInvalidStateError

from tandemkit.reach.failure import Unreachable
from tandemkit.storage.queue.hand import Hand
from tandemkit.storage.queue.handed_out import HandedOut
from tandemkit.storage.queue.link import ANSWER_S_MAX
from tandemkit.storage.queue.protocol import TOO_OFTEN, Message

ATTEMPT, DUE, WHY = "x-tandem-attempt", "x-tandem-due-ms", "x-tandem-why"
# What the package calls failures of a connection, but for two that may be anybody's defect.
LOSSES: tuple[type[BaseException], ...] = (
    *(one for one in CONNECTION_EXCEPTIONS if one not in {RuntimeError, StopAsyncIteration}),
    ChannelInvalidStateError,
    TimeoutError,
)
# The broker's own count of how often it handed a message out before.
_AGAIN = "x-delivery-count"
# Near enough to its time: another wait would take longer.
_EARLY_MS = 60


@dataclass(eq=False)
class RabbitmqSession:
    """One connection, and the channel on which it publishes."""

    connection: AbstractConnection
    channel: AbstractChannel
    exchange: AbstractExchange
    lost: asyncio.Event = field(default_factory=asyncio.Event)


class Home(Protocol):
    """The queue that a consumer is one of."""

    name: str
    attempts_max: int

    def now_ms(self) -> int: ...

    async def send(self, message: Message, delay_s: float, why: str = "") -> None: ...

    async def delayed(self, received: AbstractIncomingMessage, rest_ms: int) -> None: ...


class Consumer:
    """Takes messages from a queue, on one connection."""

    def __init__(self, queue: Home, session: RabbitmqSession, hand: Hand[RabbitmqDelivery]) -> None:
        self._queue, self._session, self._hand = queue, session, hand
        # What nobody settled.
        self.taken: set[RabbitmqDelivery] = set()

    async def run(self, prefetch: int) -> None:
        """Until the connection is lost, or cancelled: then the broker hands out again what nobody
        settled.
        """
        over = asyncio.Event()
        with answering():
            channel = await self._session.connection.channel()
        try:
            channel.close_callbacks.add(lambda *_: over.set())
            with answering():
                await channel.set_qos(prefetch)
                queue = await channel.get_queue(self._queue.name, ensure=False)
                await queue.consume(self._arrived, timeout=ANSWER_S_MAX)
            await over.wait()
        finally:
            with suppress(*LOSSES):
                async with asyncio.timeout(1):
                    await channel.close()

    async def _arrived(self, received: AbstractIncomingMessage) -> None:
        rest_ms = _number(received, DUE, 0) - self._queue.now_ms()
        with suppress(Unreachable):
            if rest_ms > _EARLY_MS:
                await self._queue.delayed(received, rest_ms)
                with answering():
                    await received.ack()
                return
            delivery = RabbitmqDelivery(self._queue, self._session, self.taken, received)
            if delivery.message.attempt > self._queue.attempts_max:
                await delivery.bury(TOO_OFTEN)
            else:
                self._hand.put(delivery)


class RabbitmqDelivery(HandedOut):
    """In the set of those that are taken, until it is settled."""

    def __init__(
        self,
        queue: Home,
        session: RabbitmqSession,
        taken: set[RabbitmqDelivery],
        received: AbstractIncomingMessage,
    ) -> None:
        super().__init__(queue, message_of(received, _number(received, _AGAIN, 0)))
        self._taken, self._received, self.session = taken, received, session
        taken.add(self)

    @property
    def is_lost(self) -> bool:
        return self.session.lost.is_set()

    async def _settle(self) -> None:
        with answering():
            await self._received.ack()
        self._taken.discard(self)


def message_of(received: AbstractIncomingMessage, again: int = 0) -> Message:
    """Handed out `again` times more than it says of itself."""
    attempt = _number(received, ATTEMPT, 1)
    return Message(received.message_id or "", received.body, attempt + again)


def _number(received: AbstractIncomingMessage, header: str, default: int) -> int:
    found = received.headers.get(header, default)
    return found if isinstance(found, int) else default


@contextmanager
def answering() -> Iterator[None]:
    """Raises Unreachable for what the connection, or the broker, refuses."""
    try:
        yield
    except LOSSES as error:
        raise Unreachable("RabbitMQ does not answer", cause=type(error).__name__) from error
