"""Ports of a plan's hosts on this machine: those that they have, and free ones for new hosts."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from tandem.control.v1 import machine_pb2 as pb
from tandem.fleet.v1.plan_pb2 import PlannedHost
from tandemkit.fleet.claiming import claimed
from tandemkit.machine.orders import planned_machine, site_of
from tandemkit.written.ports import PortBook


def with_ports(
    wanted: pb.WantedMachine, kept: Mapping[str, PlannedHost], held: ExitStack
) -> pb.WantedMachine:
    """The same, with ports that are free here. `kept` hosts keep theirs; the claims of the others
    are `held` for as long as somebody may start there. Raises PlanUnusable, PortsTaken.
    """
    found = pb.WantedMachine()
    found.CopyFrom(wanted)
    for host in planned_machine(found).hosts:
        if host.name in kept:
            host.grpc_port = kept[host.name].grpc_port
            host.http_port = kept[host.name].http_port
    listen = site_of(found).listen
    book = PortBook.of(found.plan.ports)
    settled = held.enter_context(claimed(found.plan, found.machine, book, listen, frozenset(kept)))
    found.plan.CopyFrom(settled.plan)
    return found
