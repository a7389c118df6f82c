"""What every queue promises. docs/design/jobs.md says how each backend keeps it.

Content is bytes to a queue. One conformance suite, tests/contract/queue, holds all backends to
these sentences.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

CONTENT_BYTES_MAX = 64 * 1024
PREFETCH_MAX = 1000
DELAY_S_MAX = 30 * 24 * 3600.0
DEAD_MAX = 1000
# A consumer that is gone, or cannot be heard, loses what it took within that time.
REDELIVERY_S_MAX = 10.0
# Why a message became a dead letter that was handed out as often as its queue allows.
TOO_OFTEN = "handed out too often"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


@dataclass(frozen=True, slots=True)
class Message:
    """`attempt` counts how often it was handed out, this time included; after a lost consumer or
    connection it may be one less than it was.
    """

    id: str
    content: bytes
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Dead:
    """A message that nobody will be handed again, and why."""

    message: Message
    why: str


@dataclass(frozen=True, slots=True)
class Depth:
    """`open_` messages are neither settled nor dead: those that wait, are delayed, or were taken by
    a consumer of this process.
    """

    open_: int
    dead: int


class Delivery(Protocol):
    """A message in a consumer's hands. It is settled once, by one of the three; what is not when
    the consumer ends is handed out again. After a lost connection settling does nothing, and the
    message comes again. All raise Unreachable.
    """

    message: Message

    async def ack(self) -> None:
        """It is done with, and never comes again but by a lost connection."""

    async def retry(self, delay_s: float) -> None:
        """It comes again, not before that has passed, and counts one attempt more."""

    async def bury(self, why: str) -> None:
        """It becomes a dead letter."""


class Queue(Protocol):
    """Messages that are handed out at least once each, to one consumer at a time.

    ValueError means that nothing was done: what `check_*` refuses. All raise Unreachable where the
    backend does not answer in time; what they do once it does again needs no new queue.
    """

    async def publish(self, message_id: str, content: bytes, delay_s: float = 0.0) -> None:
        """On disk, as far as the backend can promise that, before it answers. Those of one
        publisher without a delay are first handed out in their order. One that is published twice
        may come twice.
        """

    def consume(self, prefetch: int) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """Hands out messages, never more than `prefetch` of them that are not settled. Survives the
        loss of the backend: it goes on once that is back. One that was handed out as often as the
        queue allows becomes a dead letter instead.
        """

    async def depth(self) -> Depth:
        """How many there are; other processes' changes may be seen late."""

    async def dead(self, limit: int = DEAD_MAX) -> tuple[Dead, ...]:
        """The oldest dead letters; they stay."""

    async def revive(self, limit: int = DEAD_MAX) -> int:
        """Has the oldest dead letters handed out again from their first attempt, and says how
        many.
        """


def check_name(name: str) -> None:
    """Raises ValueError for what is no name of a queue."""
    if _NAME.fullmatch(name) is None:
        raise ValueError("not a name of a queue")


def check_message(message_id: str, content: bytes) -> None:
    """Raises ValueError for what no backend would take."""
    if _ID.fullmatch(message_id) is None:
        raise ValueError("not an id of a message")
    if len(content) > CONTENT_BYTES_MAX:
        raise ValueError("content exceeds the limit of a queue")


def check_delay(delay_s: float) -> None:
    """Raises ValueError for what is no delay."""
    if not 0 <= delay_s <= DELAY_S_MAX:
        raise ValueError("a delay is from 0 s to 30 days")


def check_prefetch(prefetch: int) -> None:
    """Raises ValueError for what no consumer may take at once."""
    if not 0 < prefetch <= PREFETCH_MAX:
        raise ValueError("a consumer takes from 1 to 1000 messages at once")
