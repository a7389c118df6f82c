"""A channel that somebody else opened and will close."""

from __future__ import annotations

from typing import Self

import grpc


class Borrowed(grpc.aio.Channel):
    """What it shares with its `wire`. How its calls differ is the heir's."""

    def __init__(self, wire: grpc.aio.Channel) -> None:
        self._wire = wire

    def get_state(self, try_to_connect: object = None) -> grpc.ChannelConnectivity:
        return self._wire.get_state(bool(try_to_connect))

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._wire.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._wire.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        """Does nothing: the channel closes with its owner, and others use it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        """The same."""
