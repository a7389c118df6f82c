"""What a consumer was handed and nobody took from it yet."""

from __future__ import annotations

import asyncio
from typing import Generic, Protocol, Self, TypeVar


class Handed(Protocol):
    """`is_lost` where the broker will hand it out again whatever is done with it."""

    @property
    def is_lost(self) -> bool: ...


Kind = TypeVar("Kind", bound=Handed)


class Hand(Generic[Kind]):
    """An iterator that never ends, and from which one may give up waiting."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Kind] = asyncio.Queue()

    def put(self, delivery: Kind) -> None:
        self._waiting.put_nowait(delivery)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Kind:
        while True:
            delivery = await self._waiting.get()
            if not delivery.is_lost:
                return delivery
