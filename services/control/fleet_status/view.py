"""The hosts as the registry last told them, and for a while those that are gone: their agents and
groups stay known, so that a restart changes endpoints and nothing else.
"""

from __future__ import annotations

from tandem.control.v1 import registration_pb2 as nouns
from tandem.control.v1 import registry_service_pb2 as pb
from tandemkit.core.clock import Clock

DEPARTED_S = 60.0


class View:
    """Takes what the registry tells, one message after the other."""

    def __init__(self, clock: Clock) -> None:
        # 0 until something was told; the registry may say 0 too, so there is `is_known`.
        self.revision = 0
        self.is_known = False
        self._clock = clock
        self._hosts: dict[str, nouns.Host] = {}
        self._departed: dict[str, tuple[nouns.Host, float]] = {}

    @property
    def hosts(self) -> tuple[nouns.Host, ...]:
        """Those that are there, the one that changed last at the end."""
        return tuple(self._hosts.values())

    @property
    def departed(self) -> tuple[nouns.Host, ...]:
        return tuple(host for host, _until_s in self._departed.values())

    def take(self, told: pb.WatchHostsResponse) -> None:
        """All hosts, or one change."""
        event = told.WhichOneof("event")
        if event == "snapshot":
            hosts = {host.name: host for host in told.snapshot.hosts}
            for name in self._hosts.keys() - hosts.keys():
                self._depart(name)
            for host in hosts.values():
                self._arrive(host)
            self.is_known = True
        elif event == "changed":
            self._arrive(told.changed.host)
        elif event == "removed":
            self._depart(told.removed.host)
        self.revision = told.revision
        self._forget()

    def _arrive(self, host: nouns.Host) -> None:
        self._departed.pop(host.name, None)
        self._hosts.pop(host.name, None)
        self._hosts[host.name] = host

    def _depart(self, name: str) -> None:
        host = self._hosts.pop(name, None)
        if host is not None:
            self._departed[name] = host, self._clock.monotonic_s() + DEPARTED_S

    def _forget(self) -> None:
        moment_s = self._clock.monotonic_s()
        kept = {name: one for name, one in self._departed.items() if one[1] > moment_s}
        self._departed = kept
