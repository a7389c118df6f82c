"""Blocking work in bounded pieces: each runs in a thread, and the event loop is free between and
during them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from typing import TypeVar

T = TypeVar("T")


async def pieces(source: Generator[T, None, None]) -> AsyncGenerator[T, None]:
    """What `source` yields; it should yield every few milliseconds. Whoever stops early, by a
    deadline say, waits for no more than the piece in hand: then `source` is closed, in a thread
    too.
    """
    turn = threading.Lock()

    def step() -> T | None:
        with turn:
            return next(source, None)

    def close() -> None:
        with turn:
            source.close()

    try:
        while (piece := await asyncio.to_thread(step)) is not None:
            yield piece
    finally:
        await asyncio.to_thread(close)
