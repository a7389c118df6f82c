"""Who has which port at this moment: leases, their terms, and what is claimed for them."""

from __future__ import annotations

from tandem.platform.v1.port_registry_service_pb2 import PortLease
from tandemkit.core.clock import Clock
from tandemkit.supervise.ports import Allocator, Claim, PortsTaken, obstacle
from tandemkit.supervise.roll.owners import NoSuchProcess, Owner
from tandemkit.supervise.terms import Terms


class Holding:
    """A claim keeps other allocators of the machine away from a port. Where its owner listens
    already, after a restart of ours, the owner itself does.
    """

    def __init__(self, address: str, clock: Clock) -> None:
        self._address, self._clock = address, clock
        self._terms = Terms(clock)
        self._leases: dict[int, PortLease] = {}
        self._claims: dict[int, Claim] = {}
        self.ended = self._terms.ended

    def begin(self, lease: PortLease, claim: Claim | None = None) -> None:
        """From now on, for the lease's term."""
        lease.expire_time.FromDatetime(self._clock.now() + lease.term.ToTimedelta())
        self._leases[lease.port] = lease
        self._terms.begin(str(lease.port), lease.term.ToNanoseconds() / 1e9)
        if claim is not None:
            self._claims[lease.port] = claim

    def tie(self, lease: PortLease, pid: int) -> None:
        """Ends the lease with that process; with none where `pid` is 0. Raises NoSuchProcess,
        TooMany.
        """
        name = str(lease.port)
        self._terms.untie(name)
        lease.ClearField("process")
        if pid:
            owner = self._terms.tie(name, pid)
            lease.process.pid, lease.process.boot = owner.pid, owner.boot
            lease.process.started_ticks = owner.started_ticks

    def begin_again(self, lease: PortLease) -> None:
        """After a restart; the term too, for nobody could renew meanwhile. A lease whose process
        ended meanwhile is over.
        """
        try:
            claim = Allocator(self._address).claim([lease.port])
        except PortsTaken:
            self.begin(lease)
        else:
            self.begin(lease, claim)
        held = lease.process
        if held.pid:
            owner = Owner(held.pid, held.started_ticks, held.boot)
            try:
                self._terms.tie_again(str(lease.port), owner)
            except NoSuchProcess:
                self._terms.begin(str(lease.port), 0.0)

    def drop(self, port: int) -> None:
        """It is nobody's any more."""
        self._leases.pop(port, None)
        self._terms.drop(str(port))
        claim = self._claims.pop(port, None)
        if claim is not None:
            claim.release()

    def leases(self, owner: str = "") -> list[PortLease]:
        """An owner's or everybody's that are not over, by number."""
        found = (self._leases[port] for port in sorted(self._leases) if self._lasts(port))
        return [one for one in found if owner in {"", one.owner}]

    def of(self, owner: str, use: str) -> PortLease | None:
        """What the owner has for that use."""
        return next((one for one in self.leases(owner) if one.use == use), None)

    def lease(self, port: int) -> PortLease | None:
        """Whoever has it; one that is over is nobody's."""
        return self._leases.get(port) if self._lasts(port) else None

    def over(self) -> list[int]:
        """Ports whose terms have ended; they are claimed until they are dropped."""
        return [port for port in self._leases if not self._lasts(port)]

    def bound(self, port: int) -> str:
        """Why it cannot be bound; empty where it can, or is claimed for an owner who does not
        listen yet.
        """
        if port in self._claims:
            return obstacle(self._address, port)
        try:
            Allocator(self._address).claim([port]).release()
        except PortsTaken as taken:
            return taken.reasons[port]
        return ""

    def close(self) -> None:
        """Lets go of what is claimed; the store keeps who has it."""
        for claim in self._claims.values():
            claim.release()
        self._claims.clear()
        self._terms.close()

    def _lasts(self, port: int) -> bool:
        return self._terms.left_s(str(port)) > 0
