"""Leases and registrations in Consul: a session per lease, which holds one row per registration."""

from __future__ import annotations

import math
import re
from contextlib import suppress

from tandemkit.core.clock import Clock
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.registry.consul_http import ConsulHttp, Request
from tandemkit.registry.consul_kv import Conflict, ConsulKv, Row, operation, version_is, write
from tandemkit.registry.consul_liveness import Liveness, beat
from tandemkit.registry.consul_registration import REGISTRATIONS, Registration
from tandemkit.registry.protocol import Entry, Lease, LeaseLost

LEASES = "alive/leases/"
# Consul's own bounds. It ends a session between one and two times its TTL after the last renewal.
_SESSION_TTL_S_MIN, _SESSION_TTL_S_MAX = 10, 86_400
_ID = re.compile(r"(?P<number>[0-9]{1,20})-(?P<session>[0-9a-f-]{36})")
# A sweep that comes later than this finds a control that was stopped.
_LATE_S = 0.5
# Rivals for one key: each turn that is lost was won by another, so this is plenty.
_TURNS = 20


class ConsulLeases:
    """Opens, renews and ends leases, its own and those that nobody renews any more."""

    def __init__(self, http: ConsulHttp, kv: ConsulKv, liveness: Liveness, clock: Clock) -> None:
        self._http = http
        self._kv = kv
        self._liveness = liveness
        self._clock = clock
        self._sweep_every_s = http.settings.sweep_every_s
        # An answer that took longer says that others may have waited in vain.
        self._slow_s = http.settings.patience.try_s / 2

    async def open(self, owner: str, ttl_s: float) -> Lease:
        key = f"{LEASES}{owner}"
        for _ in range(_TURNS):
            older = await self._kv.get(key)
            if older is not None:
                await self._end(older)
            session = await self._session(owner, ttl_s)
            lock = write("lock", key, beat(ttl_s), Session=session)
            try:
                versions = await self._kv.commit([version_is(key, 0), lock])
            except Conflict:
                await self._destroy(session)
                continue
            self._liveness.hear(key, versions[-1], ttl_s)
            return Lease(f"{versions[-1]}-{session}", owner, ttl_s)
        raise Unreachable("others kept opening a lease of the same owner")

    async def renew(self, lease: Lease) -> None:
        await self._require(lease)
        key, session = f"{LEASES}{lease.owner}", _session_of(lease)
        renewal = Request("PUT", f"/v1/session/renew/{session}", again=True)
        if not (await self._http.ask(renewal)).found:
            raise LeaseLost(lease.id)
        again = write("set", key, beat(lease.ttl_s))
        try:
            versions = await self._kv.commit([_is_held(lease), again], again=True)
        except Conflict as error:
            raise LeaseLost(lease.id) from error
        self._liveness.hear(key, versions[-1], lease.ttl_s)

    async def close(self, lease: Lease) -> None:
        with suppress(LeaseLost):
            await self._destroy(_session_of(lease))

    async def register(self, lease: Lease, key: str, value: bytes) -> None:
        await self._require(lease)
        wanted = Registration(Entry(key, value, lease.owner), _number_of(lease))
        for _ in range(_TURNS):
            row = await self._kv.get(f"{REGISTRATIONS}{key}")
            found = Registration.of(row) if row else None
            operations = [_is_held(lease)]
            if found is None or (found != wanted and found.number <= wanted.number):
                operations += _replacing(row, wanted, _session_of(lease))
            try:
                # Twice is as good as once: the row's version is checked.
                await self._kv.commit(operations, again=True)
            except Conflict as error:
                if error.at == 0:
                    raise LeaseLost(lease.id) from error
            else:
                return
        raise Unreachable("others kept registering the same key")

    async def deregister(self, lease: Lease, key: str) -> None:
        name = f"{REGISTRATIONS}{key}"
        with suppress(LeaseLost, Conflict):
            mine = operation("check-session", name, Session=_session_of(lease))
            await self._kv.commit([mine, operation("delete", name)], again=True)

    async def sweep(self) -> None:
        """Ends what lapsed, for as long as the registry is open. Who could not be heard is not
        dead: where Consul does not answer, everybody gets their time again once it does.
        """
        while True:
            self._liveness.awake(self._sweep_every_s + _LATE_S)
            await self._clock.sleep(self._sweep_every_s)
            self._liveness.awake(_LATE_S)
            try:
                if self._liveness.deaf:
                    await self._kv.get_once(f"{LEASES}any")
                    self._liveness.listen()
                for key in self._liveness.all_lapsed(LEASES):
                    await self._end_lapsed(key)
                    self._liveness.awake(_LATE_S)
            except (Unreachable, Refused):
                self._liveness.deafen()

    async def _require(self, lease: Lease) -> None:
        """A lease that lapsed here has ended, whether or not the sweep came by yet."""
        key = f"{LEASES}{lease.owner}"
        if self._liveness.lapsed(key) and await self._end_lapsed(key):
            raise LeaseLost(lease.id)

    async def _end_lapsed(self, key: str) -> bool:
        """Whether it has ended: not where a renewal is found that was not heard of yet, nor on
        the first word of a Consul that was away or slow.
        """
        version, asked_s = self._liveness.lapsed(key), self._clock.monotonic_s()
        row = await self._kv.get_once(key)
        if self._clock.monotonic_s() - asked_s > self._slow_s:
            self._liveness.listen()
            return False
        if row is not None and row.version != version:
            self._liveness.take_one(row)
            return False
        if row is not None:
            await self._end(row)
        self._liveness.forget(key)
        return True

    async def _end(self, row: Row) -> None:
        """Takes the lease's row and its registrations, in one step of Consul's."""
        if row.session:
            await self._destroy(row.session)
            return
        # Somebody took the lock away by hand.
        with suppress(Conflict):
            gone = operation("delete", row.key)
            await self._kv.commit([version_is(row.key, row.version), gone], again=True)

    async def _session(self, owner: str, ttl_s: float) -> str:
        """Bound to no node and no check: our own view, and at last the TTL, say who is alive."""
        ttl = min(max(math.ceil(2 * ttl_s), _SESSION_TTL_S_MIN), _SESSION_TTL_S_MAX)
        body = {"Name": f"tandem lease of {owner}", "TTL": f"{ttl}s"}
        bound = {"Behavior": "delete", "LockDelay": "0s", "NodeChecks": []}
        answer = await self._http.ask(Request("PUT", "/v1/session/create", body=body | bound))
        return str(answer.parsed()["ID"])

    async def _destroy(self, session: str) -> None:
        await self._http.ask(Request("PUT", f"/v1/session/destroy/{session}", again=True))


def _replacing(row: Row | None, wanted: Registration, session: str) -> list[dict[str, object]]:
    key = f"{REGISTRATIONS}{wanted.entry.key}"
    operations = [version_is(key, row.version if row else 0)]
    if row is not None and row.session != session:
        operations.append(operation("delete", key))
    return [*operations, write("lock", key, wanted.encoded(), Session=session)]


def _is_held(lease: Lease) -> dict[str, object]:
    return operation("check-session", f"{LEASES}{lease.owner}", Session=_session_of(lease))


def _number_of(lease: Lease) -> int:
    """Leases opened later have higher ones."""
    return int(_parsed(lease)["number"])


def _session_of(lease: Lease) -> str:
    return _parsed(lease)["session"]


def _parsed(lease: Lease) -> re.Match[str]:
    """Ids come back from hosts, and go into paths: what we did not give out is no lease."""
    parsed = _ID.fullmatch(lease.id)
    if parsed is None:
        raise LeaseLost(lease.id)
    return parsed
