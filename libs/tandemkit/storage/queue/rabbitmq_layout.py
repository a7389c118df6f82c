"""The queues of RabbitMQ that one of ours is made of: what is ready, what waits, what is dead."""

from __future__ import annotations

import asyncio
from typing import Any

from aio_pika.exceptions import ChannelNotFoundEntity

from tandemkit.core.clock import Clock
from tandemkit.storage.queue.link import ANSWER_S_MAX
from tandemkit.storage.queue.protocol import DELAY_S_MAX
from tandemkit.storage.queue.rabbitmq_consumer import RabbitmqSession, answering

# A message that waits stands in queues of these times, the longest first that is not too long:
# one queue for all would hold a short wait up behind a long one.
_WAITS_MS = tuple(250 * 4**power for power in range(13) if 250 * 4**power <= DELAY_S_MAX * 1000)
_ABSENT_S = 30.0
# This kit counts attempts itself; a newer broker would stop at 20.
_QUORUM: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}


class Layout:
    """By name; a queue is made when it is first needed.

    The broker writes down within 2 s that there is a new queue. It would forget one, with all that
    it confirmed there, if it were killed sooner: so a new one is used after `settle_s`.
    """

    def __init__(self, ready: str, settle_s: float, clock: Clock) -> None:
        self.ready, self.dead = ready, f"{ready}.dead"
        self._settle_s, self._clock = settle_s, clock
        self._known: set[str] = set()
        self._absent_until_s: dict[str, float] = {}
        self._turn = asyncio.Lock()

    async def make(self, session: RabbitmqSession) -> None:
        """What every queue needs."""
        # What somebody rejects, by whatever tool, is a dead letter too.
        await self._make(session, {self.dead: {}, self.ready: _expiring_to(self.dead)})

    async def waiting_room(self, session: RabbitmqSession, delay_ms: int) -> str:
        """Where a message stands that is not due; it may have to wait again."""
        wait_ms = max((one for one in _WAITS_MS if one <= delay_ms), default=_WAITS_MS[0])
        # What expires is taken off only when the other queue has it. A broker that was killed in
        # between tries that again after three minutes.
        safely = {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
        arguments = {"x-message-ttl": wait_ms, **_expiring_to(self.ready), **safely}
        await self._make(session, {(name := self._room(wait_ms)): arguments})
        return name

    async def open_(self, session: RabbitmqSession) -> int:
        """Messages that nobody was handed."""
        rooms = [await self.count(session, self._room(one)) for one in _WAITS_MS]
        return sum(rooms) + await self.count(session, self.ready)

    async def count(self, session: RabbitmqSession, name: str) -> int:
        """Looking for one that is not there is dear, and another process seldom makes one."""
        now_s = self._clock.monotonic_s()
        if name not in self._known and now_s < self._absent_until_s.get(name, 0.0):
            return 0
        found = await self._found(session, name)
        if found is None:
            self._absent_until_s[name] = now_s + _ABSENT_S
        return found or 0

    async def _found(self, session: RabbitmqSession, name: str) -> int | None:
        """How many are in it; None where there is no such queue, and asking ends a channel."""
        with answering():
            channel = await session.connection.channel()
            try:
                queue = await channel.declare_queue(name, passive=True, timeout=ANSWER_S_MAX)
            except ChannelNotFoundEntity:
                return None
            await channel.close()
        return queue.declaration_result.message_count or 0

    async def _make(self, session: RabbitmqSession, wanted: dict[str, dict[str, Any]]) -> None:
        if wanted.keys() <= self._known:
            return
        async with self._turn:
            is_new = False
            for name, more in wanted.items():
                is_new = await self._found(session, name) is None or is_new
                with answering():
                    await session.channel.declare_queue(
                        name, durable=True, arguments={**_QUORUM, **more}, timeout=ANSWER_S_MAX
                    )
            if is_new and self._settle_s:
                await self._clock.sleep(self._settle_s)
            self._known |= wanted.keys()

    def _room(self, wait_ms: int) -> str:
        return f"{self.ready}.wait.{wait_ms}"


def _expiring_to(name: str) -> dict[str, Any]:
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": name}
