"""The one channel of a process to one target, shared by whoever asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
from grpc import experimental

from tandemkit.core.loopback import stays_here

XDS = "xds:"
# Nobody listens there. For a mesh whose calls stay in the process: any other one fails at once.
NOWHERE = "ipv4:127.0.0.1:0"
# A lost server is looked for again after 0.1 s, then ever less often, but every 2 s.
_RECONNECTING = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
)
# A dead link shows within 3 s, and a quiet one stays open through address translation.
OPTIONS = (
    ("grpc.keepalive_time_ms", 2000),
    ("grpc.keepalive_timeout_ms", 1000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    *_RECONNECTING,
)
# A connection that carries no call for that long is closed; the next call opens it again. Not on
# xDS: a channel that rests forgets what control told it, and control may be away when it wakes.
IDLE_MS, _NEVER_MS = 60_000, 2**31 - 1
_IDLE = "grpc.client_idle_timeout_ms"
_Options: TypeAlias = tuple[tuple[str, int], ...]
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
async def shared(target: str, *, pings: bool = True) -> AsyncIterator[grpc.aio.Channel]:
    """The channel to `target`, opened for its first user and as that one says, and closed behind
    its last.
    """
    key = target, asyncio.get_running_loop()
    one = _OPEN.get(key)
    if one is None:
        ACCOUNT.opened += 1
        one = _OPEN[key] = _Shared(opened(target, pings=pings))
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


def options(target: str, idle_ms: int = IDLE_MS, *, pings: bool = True) -> _Options:
    """What a channel is opened with. Without `pings` for who knows that it leads to no other
    machine: here the kernel tells of a process that ended, and answers for one that froze.
    """
    usual = OPTIONS if pings and not stays_here(target) else _RECONNECTING
    return (*usual, (_IDLE, _NEVER_MS if target.startswith(XDS) else idle_ms))


def opened(target: str, idle_ms: int = IDLE_MS, *, pings: bool = True) -> grpc.aio.Channel:
    """A channel of its caller's own."""
    said = options(target, idle_ms, pings=pings)
    if not target.startswith(XDS):
        return grpc.aio.insecure_channel(target, said)
    # The control plane may turn on mutual TLS for a cluster without touching any client.
    insecure: Any = experimental.insecure_channel_credentials
    return grpc.aio.secure_channel(target, grpc.xds_channel_credentials(insecure()), said)
