"""One direction of a stream that stays in the process."""

from __future__ import annotations

import asyncio
from collections import deque

# As far as a sender gets ahead of its reader: HTTP/2's first window. One message would be less, and
# two sides that both send before they read would wait for each other here and not over the wire.
WINDOW_BYTES = 64 * 1024
# What gRPC puts before each message. It makes empty messages count.
_PREFIX_BYTES = 5


class Pipe:
    """Messages in their wire form, which neither side can change behind the other's back.

    Any number of waiters may wait; each looks again after every change.
    """

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        self._ahead_bytes = 0
        self._ended = False
        self._unread = True
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def empty(self) -> bool:
        return not self._messages

    async def put(self, wire: bytes) -> bool:
        """Waits while the reader is a window behind; False where nobody will read any more."""
        while self._unread and self._ahead_bytes >= WINDOW_BYTES:
            await self._change()
        if not self._unread:
            return False
        self._messages.append(wire)
        self._ahead_bytes += len(wire) + _PREFIX_BYTES
        self._wake()
        return True

    async def take(self) -> bytes | None:
        """The next message, or None after the last one."""
        while not self._messages:
            if self._ended:
                return None
            await self._change()
        wire = self._messages.popleft()
        self._ahead_bytes -= len(wire) + _PREFIX_BYTES
        self._wake()
        return wire

    def end(self) -> None:
        """Says that nothing follows what was put."""
        self._ended = True
        self._wake()

    def refuse(self) -> None:
        """Says that nobody reads on; what was put stays for whoever does."""
        self._unread = False
        self._wake()

    def drop(self) -> None:
        """Ends both sides, and forgets what was on its way."""
        self._messages.clear()
        self._ended, self._unread = True, False
        self._wake()

    def _change(self) -> asyncio.Future[None]:
        change = asyncio.get_running_loop().create_future()
        self._waiting.append(change)
        return change

    def _wake(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for change in waiting:
                if not change.done():
                    change.set_result(None)
