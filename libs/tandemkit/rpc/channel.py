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
# A connection that carries no call for that long is closed; the next call opens it again. Not on
# xDS: a channel that rests forgets what control told it, and control may be away when it wakes.
IDLE_MS, _NEVER_MS = 60_000, 2**31 - 1
_IDLE = "grpc.client_idle_timeout_ms"
_Key: TypeAlias = tuple[str, asyncio.AbstractEventLoop]


@dataclass(slots=True)
class _Shared:
    channel: grpc.aio.Channel
    users: int = 0


@dataclass(slots=True)
class Account:
    """The channels of this process so far: opened, and closed behind their last users."""

    opened: int = 0
    evicted: int = 0


ACCOUNT = Account()
# A channel lives on the loop that opened it, so it is shared by the users of one loop.
_OPEN: dict[_Key, _Shared] = {}


@asynccontextmanager
async def shared(target: str) -> AsyncIterator[grpc.aio.Channel]:
    """The channel to `target`, opened for its first user and closed behind its last."""
    key = target, asyncio.get_running_loop()
    one = _OPEN.get(key)
    if one is None:
        ACCOUNT.opened += 1
        one = _OPEN[key] = _Shared(opened(target))
    one.users += 1
    try:
        yield one.channel
    finally:
        one.users -= 1
        if not one.users:
            del _OPEN[key]
            ACCOUNT.evicted += 1
            await one.channel.close()


def in_use() -> tuple[int, int]:
    """How many channels have users: those that hold connections or look for some, and those that
    have let them go for want of calls.
    """
    states = [one.channel.get_state() for one in _OPEN.values()]
    idle = states.count(grpc.ChannelConnectivity.IDLE)
    return len(states) - idle, idle


def opened(target: str, idle_ms: int = IDLE_MS) -> grpc.aio.Channel:
    """A channel of its caller's own."""
    if not target.startswith(XDS):
        return grpc.aio.insecure_channel(target, (*OPTIONS, (_IDLE, idle_ms)))
    # The control plane may turn on mutual TLS for a cluster without touching any client.
    options = (*OPTIONS, (_IDLE, _NEVER_MS))
    insecure: Any = experimental.insecure_channel_credentials
    return grpc.aio.secure_channel(target, grpc.xds_channel_credentials(insecure()), options)
