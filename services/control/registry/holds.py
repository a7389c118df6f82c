"""The leases that hosts hold at this control, and which of two holds of one host stands."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TypeVar

from tandem.control.v1 import registration_pb2 as nouns
from tandemkit.registry.protocol import Lease, LeaseLost, Registry

Step = TypeVar("Step")
# What stands under it in the registry are names of hosts that drained.
DRAINED = "drained/"


class Hold:
    """One host's hold, for as long as its stream. Not for two users at once."""

    def __init__(self, registry: Registry, host: str, ttl_s: float) -> None:
        self.host, self.ttl_s = host, ttl_s
        # Each hold's lease has an owner of its own. The registry would end an older one of the same
        # owner at once, and watchers would see the host go; so it gives way by its key instead.
        self.owner = f"{host}/{secrets.token_hex(8)}"
        self._registry = registry
        self._lease: Lease | None = None
        self._is_overtaken = False
        self._waiting: asyncio.Timeout | None = None

    async def begin(self, host: nouns.Host) -> None:
        self._lease = await self._registry.open_lease(self.owner, self.ttl_s)
        await self.change(host)

    async def renew(self) -> None:
        await self._registry.renew(self._standing())

    async def change(self, host: nouns.Host) -> None:
        lease = self._standing()
        await self._registry.renew(lease)
        await self._registry.register(lease, self.host, host.SerializeToString(deterministic=True))

    async def leave(self) -> None:
        """The host goes by its own word: that is noted for as long as the lease lasts, for it is
        the lease's end alone that a watcher could not tell from a failure.
        """
        with suppress(LeaseLost):
            lease = self._standing()
            await self._registry.renew(lease)
            await self._registry.register(lease, f"{DRAINED}{self.host}", self.host.encode())
            await self._registry.deregister(lease, self.host)

    async def close(self) -> None:
        """Ends the lease; the host goes unless a later hold has it."""
        if self._lease is not None:
            await self._registry.close_lease(self._lease)

    async def next(self, steps: AsyncIterator[Step]) -> Step | None:
        """What the host says next; None where it says no more. Raises LeaseLost once overtaken."""
        self._standing()
        try:
            async with asyncio.timeout(None) as self._waiting:
                return await anext(steps, None)
        except TimeoutError as error:
            raise LeaseLost from error
        finally:
            self._waiting = None

    def give_way(self) -> None:
        """A later hold of the host begins: ends a wait in `next`, and all that comes after."""
        self._is_overtaken = True
        if self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time())

    def _standing(self) -> Lease:
        if self._lease is None or self._is_overtaken:
            raise LeaseLost
        return self._lease


class Holds:
    """Who holds what, by host. The one event loop makes this safe without a lock."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._latest: dict[str, Hold] = {}

    def owners(self) -> set[str]:
        """Of the leases that stand."""
        return {hold.owner for hold in self._latest.values()}

    async def open(self, host: nouns.Host, ttl_s: float) -> Hold:
        """A hold that registers `host`; an earlier one of it gives way, without a gap."""
        hold = Hold(self._registry, host.name, ttl_s)
        earlier = self._latest.get(host.name)
        self._latest[host.name] = hold
        if earlier is not None:
            earlier.give_way()
        try:
            await hold.begin(host)
            if earlier is not None:
                await earlier.close()
        except BaseException:
            self.forget(hold)
            raise
        return hold

    def forget(self, hold: Hold) -> None:
        """Its stream is over. What it left in the registry runs out by itself."""
        if self._latest.get(hold.host) is hold:
            del self._latest[hold.host]
