"""The hosts as the registry last told them, and for a while those that are gone: their agents and
groups stay known, so that a restart changes endpoints and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.control.fleet_status.damping import Damping
from services.control.fleet_status.floor import Kind, Silent, Told, Treatment, told
from tandem.control.v1 import registration_pb2 as nouns
from tandem.control.v1 import registry_service_pb2 as pb
from tandemkit.core.clock import Clock
from tandemkit.mesh.catalogue import Standing

DEPARTED_S = 60.0
_TREATED = {Kind.DAMPED: Standing.DAMPED, Kind.KEPT: Standing.KEPT}


class View:
    """Takes what the registry tells, one message after the other. What clients are to be told of it
    changes with time too: see `pass_time`.
    """

    def __init__(self, clock: Clock) -> None:
        # 0 until something was told; the registry may say 0 too, so there is `is_known`.
        self.revision = 0
        self.is_known = False
        self._clock = clock
        self._hosts: dict[str, nouns.Host] = {}
        self._silent: dict[str, Silent] = {}
        self._damping = Damping()
        self._told = Told()

    @property
    def hosts(self) -> tuple[nouns.Host, ...]:
        """Those that take calls, the one that changed last at the end."""
        return self._told.present

    @property
    def departed(self) -> tuple[nouns.Host, ...]:
        """Those that are remembered and take none."""
        return self._told.absent

    @property
    def treatments(self) -> Mapping[str, Treatment]:
        """By name, the hosts that are not told as their leases alone would have it."""
        return self._told.treatments

    @property
    def standings(self) -> Mapping[str, Standing]:
        """By name, why hosts without a life of their own in the registry are told as they are."""
        silent = {
            name: Standing.LEFT if one.drained else Standing.LAPSED
            for name, one in self._silent.items()
        }
        return silent | {name: _TREATED[one.kind] for name, one in self.treatments.items()}

    def take(self, event: pb.WatchHostsResponse) -> None:
        """All hosts, or one change."""
        kind = event.WhichOneof("event")
        if kind == "snapshot":
            hosts = {host.name: host for host in event.snapshot.hosts}
            for name in self._hosts.keys() - hosts.keys():
                self._depart(name, drained=name in event.snapshot.drained)
            for host in hosts.values():
                self._arrive(host)
            self.is_known = True
        elif kind == "changed":
            self._arrive(event.changed.host)
        elif kind == "removed":
            self._depart(event.removed.host, drained=event.removed.drained)
        self.revision = event.revision
        self._tell()

    def pass_time(self) -> bool:
        """Whether clients are to be told something else because of the time alone."""
        if not self._silent and not self.treatments:
            return False
        before = self._told
        self._tell()
        return self._told != before

    def _arrive(self, host: nouns.Host) -> None:
        self._silent.pop(host.name, None)
        self._hosts.pop(host.name, None)
        self._hosts[host.name] = host

    def _depart(self, name: str, *, drained: bool) -> None:
        host = self._hosts.pop(name, None)
        if host is None:
            return
        now_s = self._clock.monotonic_s()
        if not drained:
            self._damping.lapsed(name, now_s)
        self._silent[name] = Silent(host, now_s + DEPARTED_S, drained)

    def _tell(self) -> None:
        now_s = self._clock.monotonic_s()
        self._silent = {name: one for name, one in self._silent.items() if one.until_s > now_s}
        self._damping.forget(now_s)
        self._told = told(self._hosts, self._silent, dict(self._damping.held(now_s)))
