"""The one channel of a process to one target, shared by whoever asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
from grpc import experimental

XDS = "xds:"
# Nobody listens there. For a mesh whose calls stay in the process: any other one fails at once.
NOWHERE = "ipv4:127.0.0.1:0"
# A dead link shows within 3 s, and a quiet one stays open through address translation. A lost
# server is looked for again after 0.1 s, then ever less often, but every 2 s.
OPTIONS = (
    ("grpc.keepalive_time_ms", 2000),
    ("grpc.keepalive_timeout_ms", 1000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
)
_Key: TypeAlias = tuple[str, asyncio.AbstractEventLoop]


@dataclass(slots=True)
class _Shared:
    channel: grpc.aio.Channel
    users: int = 0


# A channel lives on the loop that opened it, so it is shared by the users of one loop.
_OPEN: dict[_Key, _Shared] = {}


@asynccontextmanager
async def shared(target: str) -> AsyncIterator[grpc.aio.Channel]:
    """The channel to `target`, opened for its first user and closed behind its last."""
    key = target, asyncio.get_running_loop()
    one = _OPEN.get(key)
    if one is None:
        one = _OPEN[key] = _Shared(_opened(target))
    one.users += 1
    try:
        yield one.channel
    finally:
        one.users -= 1
        if not one.users:
            del _OPEN[key]
            await one.channel.close()


def _opened(target: str) -> grpc.aio.Channel:
    if not target.startswith(XDS):
        return grpc.aio.insecure_channel(target, OPTIONS)
    # The control plane may turn on mutual TLS for a cluster without touching any client.
    insecure: Any = experimental.insecure_channel_credentials
    return grpc.aio.secure_channel(target, grpc.xds_channel_credentials(insecure()), OPTIONS)
