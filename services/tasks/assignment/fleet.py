"""Who works in the fleet: every serving instance of an agent, as the registry tells."""

from __future__ import annotations

from tandem.control.v1 import registration_pb2 as registration
from tandem.control.v1 import registry_service_pb2 as pb
from tandem.tasks.v1.assignment_pb2 import TaskWorker
from tandemkit.core.errors import Failure
from tandemkit.core.names import AgentName


class NotKnown(Failure):
    """The registry has not told yet who is there."""


class Fleet:
    """What was told last; it stands while the registry is silent."""

    def __init__(self) -> None:
        self._hosts: dict[str, registration.Host] = {}
        self._is_known = False

    def workers(self) -> dict[str, TaskWorker]:
        """By name. Raises NotKnown."""
        if not self._is_known:
            raise NotKnown("the registry has not told who is in the fleet")
        found = (one for host in self._hosts.values() for one in _workers(host))
        return {one.name: one for one in found}

    def take(self, told: pb.WatchHostsResponse) -> None:
        """All hosts, or what became of one."""
        if told.HasField("snapshot"):
            self._hosts = {host.name: host for host in told.snapshot.hosts}
            self._is_known = True
        elif told.HasField("changed"):
            self._hosts[told.changed.host.name] = told.changed.host
        else:
            self._hosts.pop(told.removed.host, None)


def _workers(host: registration.Host) -> list[TaskWorker]:
    found = []
    for placed in host.placements:
        if placed.serving:
            short = AgentName.of(placed.service).short
            instance = placed.instance or short
            can = {placed.service, short, instance, f"machine/{host.machine}"}
            name = f"{host.name}/{instance}"
            found.append(TaskWorker(name=name, capabilities=sorted(can), machine=host.machine))
    return found
