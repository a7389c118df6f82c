"""What an agent of the platform tells by a stream that never ends: the stream is opened again
whenever it does, and what it told last is kept on disk for the next life of whoever listens.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.rpc.remote import RemoteFailure

_PAUSE_S_MIN, _PAUSE_S_MAX = 0.05, 2.0
# The server says something every 2 s. gRPC's keepalive does not see a process that froze: its
# kernel goes on to answer for it.
SILENT_S_MAX = 5.0
_LOGGER = logging.getLogger("tandemkit.hosting")
Told = TypeVar("Told")
Kept = TypeVar("Kept", bound=Message)


@dataclass(frozen=True, slots=True)
class Listener(Generic[Told]):
    """`opened` makes the call; `lost` is told why, each time that there is none."""

    server: str
    opened: Callable[[], Any]
    take: Callable[[Told], Awaitable[None]]
    lost: Callable[[str], None]

    async def run(self, clock: Clock, draw: Callable[[], float] = random.random) -> None:
        """Listens until cancelled."""
        failures = 0
        while True:
            call = self.opened()
            cause = f"{self.server} ended the stream"
            try:
                async for told in _in_time(call):
                    failures = 0
                    await self.take(told)
            except grpc.aio.AioRpcError as error:
                cause = RemoteFailure.of(error).message
            except TimeoutError:
                cause = f"{self.server} is silent"
            finally:
                call.cancel()
            failures += 1
            self.lost(cause)
            doubled_s = min(_PAUSE_S_MAX, _PAUSE_S_MIN * 2.0 ** min(failures, 10))
            await clock.sleep(doubled_s * (0.5 + draw() / 2))


async def _in_time(call: Any) -> AsyncIterator[Any]:
    """Raises TimeoutError where nothing comes."""
    messages = aiter(call)
    while True:
        try:
            async with asyncio.timeout(SILENT_S_MAX):
                told = await anext(messages)
        except StopAsyncIteration:
            return
        yield told


class Copy(Generic[Kept]):
    """What was told last, in a file. It is a help and no duty: failures are logged."""

    def __init__(self, file: Path, kind: type[Kept]) -> None:
        self._file, self._kind = file, kind

    async def load(self) -> Kept | None:
        """What an earlier life kept; none where it cannot be read."""
        return await asyncio.to_thread(self._read)

    async def keep(self, message: Kept) -> None:
        """What is in memory serves all the same; only a restart would know less."""
        try:
            await asyncio.to_thread(_replace, self._file, message.SerializeToString())
        except OSError as error:
            said = {"file": self._file.name, "cause": error.strerror}
            log.event(_LOGGER, logging.WARNING, "copy.not_kept", **said)

    def _read(self) -> Kept | None:
        try:
            return self._kind.FromString(self._file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, DecodeError) as error:
            said = {"file": self._file.name, "cause": str(error)}
            log.event(_LOGGER, logging.WARNING, "copy.unreadable", **said)
            return None


def _replace(file: Path, content: bytes) -> None:
    """The old content or the new one, whenever the machine stops."""
    new = file.with_suffix(".new")
    with new.open("wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    new.replace(file)
