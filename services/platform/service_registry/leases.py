"""By which lease each instance stands: that of its owner, or one of ours for those that cannot
renew themselves, which are noted and kept over our own death.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

from services.platform.service_registry.catalogue import key_of
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.platform.v1 import service_registry_service_pb2 as pb
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.storage.state.owned import State

# Long enough for a restart of this agent, or of its host, to cost nothing.
KEPT_TTL_S = 30.0
_KEPT = "kept/"
_LOGGER = logging.getLogger("services.platform.service_registry")


class LeaseEnded(Exception):
    """The instance ran out, or somebody took it out."""


class Leases(Protocol):
    """What is asked of the registry. All raise TransientError where it does not answer."""

    async def open(self, instance: pb.ServiceInstance, ttl_s: float) -> registry.RegistrationLease:
        """Registers it, in place of what stands there."""

    async def renew(self, lease: registry.RegistrationLease) -> None:
        """Raises LeaseEnded."""

    async def close(self, lease: registry.RegistrationLease) -> None:
        """Harmless where it has ended."""


@dataclass(slots=True)
class _Kept:
    instance: pb.ServiceInstance
    lease: registry.RegistrationLease


class Keeper:
    """Holds instances for as long as nobody takes them out. Agents that share a state hold the same
    ones: whoever is left goes on, and what one lets go of the others forget.
    """

    def __init__(self, leases: Leases, state: State, clock: Clock) -> None:
        self._leases, self._state, self._clock = leases, state, clock
        self._kept: dict[str, _Kept] = {}
        # Of instances that renew themselves, as far as they have told.
        self.known: dict[str, registry.RegistrationLease] = {}

    async def keep(self, instance: pb.ServiceInstance) -> None:
        key = key_of(instance.service, instance.id)
        lease = await self._leases.open(instance, KEPT_TTL_S)
        await self._note(key, _Kept(instance, lease))

    async def let_go(self, key: str) -> registry.RegistrationLease | None:
        """It is kept no longer; the lease by which it stands, if that is known."""
        kept = self._kept.pop(key, None)
        await self._state.delete(_noted(key))
        known = self.known.pop(key, None)
        return kept.lease if kept else known

    async def load(self) -> None:
        """What is noted: by an earlier life, or by another agent."""
        kept: dict[str, _Kept] = {}
        async for _, note in self._state.all(_KEPT, pb.KeptService):
            lease = registry.RegistrationLease.FromString(note.lease)
            kept[key_of(note.instance.service, note.instance.id)] = _Kept(note.instance, lease)
        self._kept = kept

    async def run(self) -> None:
        """Renews until cancelled."""
        while True:
            try:
                await self.load()
            except Failure as error:
                log.event(_LOGGER, logging.WARNING, "services.not_kept", cause=str(error))
            for key, one in tuple(self._kept.items()):
                await self._hold(key, one)
            await self._clock.sleep(KEPT_TTL_S / 3)

    async def _hold(self, key: str, one: _Kept) -> None:
        """One that cannot be held costs the others nothing."""
        try:
            await self._renew(key, one)
        except Failure as error:
            log.event(_LOGGER, logging.WARNING, "services.not_kept", key=key, cause=str(error))

    async def _renew(self, key: str, one: _Kept) -> None:
        try:
            await self._leases.renew(one.lease)
        except LeaseEnded:
            note = await self._state.get(_noted(key), pb.KeptService)
            if note is None or note.lease != one.lease.SerializeToString():
                return  # somebody let it go, or keeps it by another lease
            # We were away for longer than it lasts.
            lease = await self._leases.open(one.instance, KEPT_TTL_S)
            if self._kept.get(key) is one:
                await self._note(key, _Kept(one.instance, lease))
            else:
                await self._leases.close(lease)

    async def _note(self, key: str, kept: _Kept) -> None:
        lease = kept.lease.SerializeToString()
        await self._state.put(_noted(key), pb.KeptService(instance=kept.instance, lease=lease))
        self._kept[key] = kept


def _noted(key: str) -> str:
    return f"{_KEPT}{key}"
