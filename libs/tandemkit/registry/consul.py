"""The registry in a real Consul.

TTLs are ours: Consul's sessions live 10 s at least and end late. A renewal writes a row, and every
control ends a lease whose row stood still for its `ttl_s`. More in docs/design/registry.md.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from contextlib import aclosing, asynccontextmanager

from tandemkit.core.clock import Clock, SystemClock
from tandemkit.reach.failure import Refused
from tandemkit.registry.consul_elections import ConsulElections, still_leads
from tandemkit.registry.consul_feed import Feed
from tandemkit.registry.consul_follow import Follower, Listener
from tandemkit.registry.consul_http import ConsulHttp, ConsulSettings, TokenUnknown, connected
from tandemkit.registry.consul_kv import Conflict, ConsulKv, operation, version_is, write
from tandemkit.registry.consul_leases import ConsulLeases
from tandemkit.registry.consul_liveness import Liveness
from tandemkit.registry.consul_registration import REGISTRATIONS, Registrations
from tandemkit.registry.consul_services import ConsulServices
from tandemkit.registry.protocol import (
    Event,
    Leadership,
    LeadershipLost,
    Lease,
    VersionConflict,
    Versioned,
    check_name,
    check_ttl,
    check_value,
)
from tandemkit.supervise.tasks import Tasks

__all__ = ["ConsulRegistry", "ConsulSettings", "consul_registry"]

_CLOCK = SystemClock()
_ALIVE = "alive/"
_VALUES = "values/"


@asynccontextmanager
async def consul_registry(
    settings: ConsulSettings, clock: Clock = _CLOCK
) -> AsyncIterator[ConsulRegistry]:
    """A registry that listens and sweeps until the block is left. Opening does not wait for Consul;
    what Consul denies (Refused) is told by the calls.
    """
    async with connected(settings, clock) as http, Tasks() as tasks:
        registry = ConsulRegistry(http, clock)
        for name, work in registry.chores():
            tasks.spawn(f"consul:{name}", work)
        try:
            yield registry
        finally:
            await registry.aclose()


class ConsulRegistry:
    """See `consul_registry`, which runs its chores."""

    def __init__(self, http: ConsulHttp, clock: Clock) -> None:
        self._http, self._settings = http, http.settings
        self._kv = ConsulKv(http)
        self._liveness = Liveness(clock)
        self._leases = ConsulLeases(http, self._kv, self._liveness, clock)
        self._elections = ConsulElections(self._kv, self._liveness)
        self._registrations = Registrations()
        self._feed = Feed(self._settings.changes_kept)
        self._follower = Follower(self._kv, self._settings, clock)

    def chores(self) -> list[tuple[str, Coroutine[object, object, None]]]:
        """What must run, under its names, for watches to move and leases to end."""
        listener = Listener(
            known=lambda: self._feed.revision,
            take=lambda index, rows: self._feed.take(index, self._registrations.read(rows)),
            anew=lambda index, rows: self._feed.restart(index, self._registrations.read(rows)),
            lost=self._lose_feed,
        )
        heartbeats = Listener(
            known=lambda: self._liveness.index,
            take=self._liveness.take,
            anew=self._liveness.restart,
            lost=lambda _error, _silent_s: self._liveness.deafen(),
        )
        return [
            ("registrations", self._follower.follow(REGISTRATIONS, listener)),
            ("alive", self._follower.follow(_ALIVE, heartbeats)),
            ("sweep", self._leases.sweep()),
        ]

    async def open_lease(self, owner: str, ttl_s: float) -> Lease:
        check_name(owner)
        check_ttl(ttl_s)
        return await self._leases.open(owner, ttl_s)

    async def renew(self, lease: Lease) -> None:
        await self._leases.renew(lease)

    async def close_lease(self, lease: Lease) -> None:
        await self._leases.close(lease)

    async def register(self, lease: Lease, key: str, value: bytes) -> None:
        check_name(key)
        check_value(value)
        await self._leases.register(lease, key, value)

    async def deregister(self, lease: Lease, key: str) -> None:
        check_name(key)
        await self._leases.deregister(lease, key)

    async def watch(self, since: int | None = None) -> AsyncGenerator[Event, None]:
        # A list leaves out what the token may not read, without a word; a single row is denied.
        await self._kv.get(f"{REGISTRATIONS}any")
        # Whoever registered before this call finds it in the first Snapshot.
        revision, rows = await self._kv.under(REGISTRATIONS)
        self._feed.take(revision, self._registrations.read(rows))
        async with aclosing(self._feed.watch(since)) as events:
            async for event in events:
                yield event

    async def elect(self, election: str, candidate: str, ttl_s: float) -> Leadership | None:
        check_name(election)
        check_name(candidate)
        check_ttl(ttl_s)
        return await self._elections.elect(election, candidate, ttl_s)

    async def keep(self, leadership: Leadership) -> None:
        await self._elections.keep(leadership)

    async def resign(self, leadership: Leadership) -> None:
        await self._elections.resign(leadership)

    async def get(self, key: str) -> Versioned | None:
        check_name(key)
        row = await self._kv.get(f"{_VALUES}{key}")
        return None if row is None else Versioned(row.value, row.version)

    async def values(self) -> Mapping[str, Versioned]:
        _, rows = await self._kv.under(_VALUES)
        return {row.key.removeprefix(_VALUES): Versioned(row.value, row.version) for row in rows}

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        expected: int | None = None,
        leadership: Leadership | None = None,
    ) -> int:
        check_name(key)
        check_value(value)
        name = f"{_VALUES}{key}"
        checks = [] if leadership is None else [still_leads(leadership)]
        if expected is None:
            operations = [*checks, write("set", name, value)]
        else:
            operations = [*checks, write("cas", name, value, Index=expected)]
        try:
            versions = await self._kv.commit(operations)
        except Conflict as error:
            if error.at < len(checks):
                raise LeadershipLost(key) from error
            raise VersionConflict(key) from error
        return versions[-1]

    async def delete(self, key: str, *, expected: int | None = None) -> None:
        check_name(key)
        name = f"{_VALUES}{key}"
        checks = [] if expected is None else [version_is(name, expected)]
        try:
            await self._kv.commit([*checks, operation("delete", name)])
        except Conflict as error:
            raise VersionConflict(key) from error

    def services(self, interval_s: float) -> ConsulServices:
        """What the same Consul shows people; each agent is asked for its health that often."""
        return ConsulServices(self._http, interval_s)

    async def aclose(self) -> None:
        """Ends every watch; leaving `consul_registry` closes the connections."""
        self._feed.close()

    def _lose_feed(self, error: Exception, silent_s: float) -> None:
        is_refusal = isinstance(error, Refused) and not isinstance(error, TokenUnknown)
        if is_refusal or silent_s >= self._settings.patience.away_s:
            self._feed.fail(error)
