"""What one watcher is told of the registry's events, in the words of the contract."""

from __future__ import annotations

from services.control.registry.holds import DRAINED
from tandem.control.v1 import registration_pb2 as nouns
from tandem.control.v1 import registry_service_pb2 as pb
from tandemkit.registry.protocol import Changed, Event, Removed, Snapshot

# Registrations under it are hosts; of what else stands in the registry nothing is told.
HOSTS = "hosts/"


class Wording:
    """Remembers who drained: that is noted before the host is removed. A watch that goes on between
    the two takes the host for a silent one.
    """

    def __init__(self) -> None:
        self._drained: set[str] = set()

    def of(self, event: Event) -> pb.WatchHostsResponse | None:
        """The event as it is told; None where it is not about a host."""
        said = pb.WatchHostsResponse(revision=event.revision)
        if isinstance(event, Snapshot):
            self._snapshot(event, said.snapshot)
            return said
        key = event.entry.key if isinstance(event, Changed) else event.key
        if key.startswith(HOSTS):
            self._change(event, said)
            return said
        if key.startswith(DRAINED):
            host = key.removeprefix(DRAINED)
            change = self._drained.add if isinstance(event, Changed) else self._drained.discard
            change(host)
        return None

    def _snapshot(self, event: Snapshot, said: pb.WatchHostsResponse.Snapshot) -> None:
        hosts = [one for one in event.entries if one.key.startswith(HOSTS)]
        noted = {
            one.key.removeprefix(DRAINED) for one in event.entries if one.key.startswith(DRAINED)
        }
        self._drained = noted - {one.key for one in hosts}
        said.hosts.extend(nouns.Host.FromString(one.value) for one in hosts)
        said.drained.extend(sorted(self._drained))
        # Empty too, it is one.
        said.SetInParent()

    def _change(self, event: Changed | Removed, said: pb.WatchHostsResponse) -> None:
        if isinstance(event, Changed):
            # It is back: what was noted of it is over.
            self._drained.discard(event.entry.key)
            said.changed.host.ParseFromString(event.entry.value)
        else:
            said.removed.host = event.key
            said.removed.drained = event.key in self._drained
