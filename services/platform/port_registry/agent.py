"""Who listens where on this machine. Contract: tandem.platform.v1.PortRegistryService."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path

from services.platform.port_registry.leases import Leases
from services.platform.port_registry.servicer import PortDesk
from tandem.control.v1 import machine_service_pb2 as machine_pb
from tandem.platform.config.v1 import port_registry_pb2 as cfg
from tandem.platform.v1 import port_registry_service_pb2 as pb
from tandemkit.core.environment import Environment
from tandemkit.core.errors import Failure
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.machine.watched import WatchedMachine
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.sqlite import sqlite_state
from tandemkit.written.ports import PortBook

_FILE = "deploy/ports.yaml"
# A port is free if nobody listens there on any address.
_EVERY_ADDRESS = str(IPv4Address(socket.INADDR_ANY))


class PortsRefused(Failure):
    """The list of ports cannot be used, so no port can be lent; the message says where it is
    wrong.
    """


@asynccontextmanager
async def build(scope: Scope, settings: cfg.PortRegistrySettings) -> AsyncIterator[PortDesk]:
    book, machine = _book(settings.ports_file), WatchedMachine(scope)
    async with sqlite_state(scope.state_dir / "ports.sqlite") as store:
        leases = Leases(book, settings.address or _EVERY_ADDRESS, State(store), scope.clock)
        try:
            await leases.restore()
            scope.ready_when(lambda: store.get("probe"))
            scope.spawn("expire", leases.expire())
            scope.spawn("watch", machine.follow())
            yield PortDesk(leases, lambda: _planned(machine))
        finally:
            leases.holding.close()


def _planned(machine: WatchedMachine) -> dict[int, str]:
    """Ports of the machine's hosts, as far as its supervisor has told; those that run are seen
    bound in any case.
    """
    return {
        port: f"hosts/{machine.planned.name}-{host.name}"
        for host in machine.planned.hosts
        for port in (host.grpc_port, host.http_port)
        if port
    }


def _book(file: str) -> PortBook:
    """Read once: another list is another start. Raises PortsRefused with every mistake."""
    root = Environment.read().root
    if not file and root is None:
        raise PortsRefused("a packaged agent has no checkout: set `ports_file` in its settings")
    path = Path(file) if file or root is None else root / _FILE
    try:
        book = PortBook.read(str(path), path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PortsRefused("the list of ports cannot be read", path=path) from error
    if book.mistakes:
        raise PortsRefused(
            "the list of ports is wrong", mistakes="; ".join(map(str, book.mistakes))
        )
    return book


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.PortRegistrySettings,
    soft_calls=(machine_pb.DESCRIPTOR,),
    build=build,
)
main = AGENT.main
