"""Streams without an end of their own, which the end of the gateway ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from services.gateway.http.denied import Denied
from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.rpc import failure
from tandemkit.rpc.remote import RemoteFailure

_RETRY_S: Final = 1.0


class Watches:
    """By the tasks that read them."""

    def __init__(self) -> None:
        self._readers: set[asyncio.Task[object]] = set()
        self._ended: set[asyncio.Task[object]] = set()

    @contextmanager
    def watch(self) -> Iterator[None]:
        """The task that runs reads one inside of the block."""
        reader = asyncio.current_task()
        assert reader is not None
        self._readers.add(reader)
        try:
            yield
        finally:
            self._readers.discard(reader)

    def end(self) -> None:
        """Those that are read now."""
        self._ended |= self._readers
        for reader in self._readers:
            reader.cancel()

    def ended(self) -> Denied | None:
        """What the running task is told that was cancelled by `end`; None where somebody else did,
        who wants it to end.
        """
        reader = asyncio.current_task()
        if reader not in self._ended:
            return None
        self._ended.discard(reader)
        reader.uncancel()
        refusal = failure.of_platform(
            platform.PLATFORM_ERROR_REASON_DRAINING,
            "the gateway ends, and with it streams that have no end of their own",
            retry_after_s=_RETRY_S,
        )
        return Denied.of(RemoteFailure.said(refusal))
