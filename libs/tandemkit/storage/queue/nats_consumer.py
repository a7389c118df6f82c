"""A consumer of a NATS stream, on one connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from tandemkit.core.clock import Clock
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.queue.hand import Hand
from tandemkit.storage.queue.handed_out import HandedOut
from tandemkit.storage.queue.protocol import TOO_OFTEN, Message
from tandemkit.supervise.tasks import Tasks

DURABLE = "workers"
# A consumer that is alive says so, for each message, three times in that time.
SILENCE_S_MAX = 6.0
ID, ATTEMPT, DUE, WHY = "Tandem-Id", "Tandem-Attempt", "Tandem-Due-Ms", "Tandem-Why"
# How long the server keeps a request for messages; a new one follows.
_ASK_S = 30.0
# The server may say that a message is due when our clock is not quite there.
_EARLY_MS = 20


@dataclass(eq=False)
class NatsSession:
    """One connection."""

    client: Client
    stream: JetStreamContext
    lost: asyncio.Event = field(default_factory=asyncio.Event)


class Home(Protocol):
    """The queue that a consumer is one of."""

    stream: str
    attempts_max: int
    clock: Clock

    def now_ms(self) -> int: ...

    async def send(self, message: Message, delay_s: float, why: str = "") -> None: ...


class Puller:
    """Asks for as many messages as there is room for, on one connection."""

    def __init__(
        self, queue: Home, session: NatsSession, hand: Hand[NatsDelivery], prefetch: int
    ) -> None:
        self._queue, self._session, self._hand = queue, session, hand
        self._prefetch = prefetch
        # How many the server may still send, and those that nobody settled.
        self._asked = 0
        self._open: set[NatsDelivery] = set()
        self._room = asyncio.Event()

    async def run(self) -> None:
        """Until the connection is lost, or cancelled."""
        client, clock = self._session.client, self._queue.clock
        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox, cb=self._arrived)
        try:
            async with Tasks() as tasks:
                tasks.spawn("queue:hold", self._hold_on(clock))
                tasks.spawn("queue:ask", self._ask(inbox))
                await self._session.lost.wait()
        finally:
            if not self._session.lost.is_set():
                await subscription.unsubscribe()
                for delivery in tuple(self._open):
                    await delivery.give_back()
                await client.flush()

    def settled(self, delivery: NatsDelivery) -> None:
        self._open.discard(delivery)
        self._room.set()

    async def _ask(self, inbox: str) -> None:
        queue = self._queue
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{queue.stream}.{DURABLE}"
        while True:
            free = self._prefetch - len(self._open) - self._asked
            # Many small requests cost more than a consumer that is short of work for a moment.
            if free > 0 and (not self._asked or free * 2 >= self._prefetch):
                self._asked += free
                said = {"batch": free, "expires": int(_ASK_S * 1e9)}
                with suppress(nats.errors.Error):  # then the connection is lost
                    await self._session.client.publish(subject, json.dumps(said).encode(), inbox)
            self._room.clear()
            await self._room.wait()

    async def _arrived(self, received: Msg) -> None:
        headers = received.headers or {}
        if "Status" in headers:
            # A request ended; some of what it asked for will not come by it.
            self._asked -= min(int(headers.get("Nats-Pending-Messages", self._asked)), self._asked)
            self._room.set()
            return
        self._asked = max(0, self._asked - 1)
        self._room.set()
        rest_ms = int(headers.get(DUE, 0)) - self._queue.now_ms()
        if rest_ms > _EARLY_MS:
            await received.nak(delay=rest_ms / 1000)
            return
        # One that was delayed has been here once before its time.
        again = received.metadata.num_delivered - 1 - (1 if DUE in headers else 0)
        message = message_of(headers, received.data, max(0, again))
        delivery = NatsDelivery(self._queue, self._session, self, received, message)
        self._open.add(delivery)
        if message.attempt > self._queue.attempts_max:
            with suppress(Unreachable):
                await delivery.bury(TOO_OFTEN)
            return
        self._hand.put(delivery)

    async def _hold_on(self, clock: Clock) -> None:
        while True:
            await clock.sleep(SILENCE_S_MAX / 3)
            with suppress(nats.errors.Error):  # then the connection is lost
                for delivery in tuple(self._open):
                    await delivery.received.in_progress()


class NatsDelivery(HandedOut):
    """Until it is settled, the server hears that somebody works on it."""

    def __init__(
        self,
        queue: Home,
        session: NatsSession,
        puller: Puller,
        received: Msg,
        message: Message,
    ) -> None:
        super().__init__(queue, message)
        self._puller, self.session, self.received = puller, session, received

    @property
    def is_lost(self) -> bool:
        return self.session.lost.is_set()

    async def give_back(self) -> None:
        with suppress(nats.errors.Error):
            await self.received.nak()
        self._puller.settled(self)

    async def _settle(self) -> None:
        with answering():
            await self.received.ack()
        self._puller.settled(self)


def message_of(headers: dict[str, str], content: bytes, again: int) -> Message:
    return Message(headers.get(ID, ""), content, int(headers.get(ATTEMPT, 1)) + again)


@contextmanager
def answering() -> Iterator[None]:
    try:
        yield
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise Unreachable("NATS does not answer", cause=type(error).__name__) from error
