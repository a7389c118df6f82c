"""Deliveries of brokers, which hand a message out again only as it was: one that counts its
attempts comes again as another message.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from tandemkit.storage.queue.protocol import Message, check_delay


class Sender(Protocol):
    """The queue."""

    async def send(self, message: Message, delay_s: float, why: str = "") -> None:
        """With a reason it is a dead letter."""


class HandedOut(ABC):
    """`tandemkit.storage.queue.protocol.Delivery`."""

    def __init__(self, queue: Sender, message: Message) -> None:
        self._queue, self.message = queue, message

    @property
    @abstractmethod
    def is_lost(self) -> bool:
        """Whether the broker will hand it out again whatever is done with it."""

    @abstractmethod
    async def _settle(self) -> None:
        """At the broker, and for who counts what is out."""

    async def ack(self) -> None:
        if not self.is_lost:
            await self._settle()

    async def retry(self, delay_s: float) -> None:
        check_delay(delay_s)
        await self._again_as(delay_s, "")

    async def bury(self, why: str) -> None:
        await self._again_as(0, why or "-")

    async def _again_as(self, delay_s: float, why: str) -> None:
        """As another message, which is there before this one goes."""
        if self.is_lost:
            return
        one = self.message
        attempt = one.attempt if why else one.attempt + 1
        await self._queue.send(Message(one.id, one.content, attempt), delay_s, why)
        await self.ack()
