"""The ports of a plan, claimed on the machine where its hosts are about to start."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tandem.fleet.v1.plan_pb2 import Plan, PlannedHost
from tandemkit.fleet.describing import GRPC, HTTP
from tandemkit.supervise.ports import Allocator, Claim
from tandemkit.written.ports import PortBook


@dataclass(frozen=True)
class Claimed:
    """A plan whose ports are ours, and by host why it does not have the port that was planned."""

    plan: Plan
    passed_over: dict[str, list[str]] = field(default_factory=dict)


@contextmanager
def claimed(
    plan: Plan,
    machine: str,
    book: PortBook,
    address: str = "127.0.0.1",
    settled: Collection[str] = (),
) -> Iterator[Claimed]:
    """The same plan, in which every host of the machine has ports that nobody else has: the planned
    ones where they are free. They are held until the block ends, and by then the hosts listen on
    them. Raises PortsTaken, and then holds none. `settled` hosts have theirs, and listen already.
    """
    found = Claimed(Plan())
    found.plan.CopyFrom(plan)
    hosts = [host for one in found.plan.machines if one.name == machine for host in one.hosts]
    grpc, http = [host.grpc_port for host in hosts], [host.http_port for host in hosts]
    with ExitStack() as held:
        for host in hosts:
            if host.name in settled:
                continue
            first = held.enter_context(
                _claim(host.grpc_port, grpc, book, (host.port_range or GRPC, address))
            )
            second = held.enter_context(_claim(host.http_port, http, book, (HTTP, address)))
            _note(found, host, (first, second))
            host.grpc_port, host.http_port = first.port, second.port
        yield found


def _claim(planned: int, others: Sequence[int], book: PortBook, where: tuple[str, str]) -> Claim:
    """What is planned for another host is taken last, or that host would lose it for nothing."""
    name, address = where
    withheld = {port: why for port, why in book.withheld().items() if port != planned}
    span = book.span(name)
    candidates = sorted(span, key=lambda port: (port in others, port))
    return Allocator(address, withheld).claim(candidates, preferred=planned)


def _note(found: Claimed, host: PlannedHost, claims: tuple[Claim, Claim]) -> None:
    planned = (host.grpc_port, host.http_port)
    for port, claim in zip(planned, claims, strict=True):
        # 0 was never planned: a host that came at run time.
        if port and claim.port != port:
            said = f"{claim.port} instead of {port}, which {claim.passed_over[port]}"
            found.passed_over.setdefault(host.name, []).append(said)
