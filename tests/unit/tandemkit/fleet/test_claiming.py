"""Catalogue row M020: two fleets of one machine, each with ports of its own."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from tandem.fleet.v1 import plan_pb2 as pb
from tandemkit.fleet.claiming import claimed
from tandemkit.supervise.ports import PortsTaken
from tests.unit.tandemkit.fleet.planted import Planted, hosts

_HERE = "127.0.0.1"
_LENGTH = 12


@pytest.fixture
def planted() -> Planted:
    """Its ranges are two runs of ports that nobody had a moment ago."""
    grpc = _free_run(20000)
    http = _free_run(grpc + _LENGTH)
    return (
        Planted()
        .changed("ports.yaml", "first: 8200", f"first: {grpc}")
        .changed("ports.yaml", "last: 8210", f"last: {grpc + _LENGTH - 1}")
        .changed("ports.yaml", "first: 9100", f"first: {http}")
        .changed("ports.yaml", "last: 9110", f"last: {http + _LENGTH - 1}")
        .changed("ports.yaml", "port: 8200", f"port: {grpc}")
        .changed("ports.yaml", "port: 10010", "port: 7")
    )


def ports_of(plan: pb.Plan, machine: str = "big") -> list[int]:
    on_machine = next(one for one in plan.machines if one.name == machine)
    return [port for host in on_machine.hosts for port in (host.grpc_port, host.http_port)]


def test_m020_the_first_fleet_has_the_planned_ports(planted: Planted) -> None:
    """So a person finds control where the list says."""
    plan = planted.plan()
    with claimed(plan, "big", planted.blueprint.ports) as first:
        assert first.plan == plan
        assert first.passed_over == {}


def test_m020_a_second_fleet_takes_other_ports_and_says_why(planted: Planted) -> None:
    """Of the same ranges, without a reserved or a fixed one, for control too."""
    plan, book = planted.plan(), planted.blueprint.ports
    with claimed(plan, "big", book) as first, claimed(plan, "big", book) as second:
        assert not set(ports_of(first.plan)) & set(ports_of(second.plan))
        assert not set(ports_of(second.plan)) & set(book.withheld())
        control = hosts(plan)["control"].grpc_port
        said = f"instead of {control}, which cannot be bound: Address already in use"
        assert second.passed_over["control"][0].endswith(said)


def test_m020_a_port_in_use_moves_that_host_alone(planted: Planted) -> None:
    """The others keep theirs, although one of them would have been free for it."""
    plan, book = planted.plan(), planted.blueprint.ports
    with (
        socket.create_server((_HERE, hosts(plan)["look"].grpc_port)),
        claimed(plan, "big", book) as found,
    ):
        assert list(found.passed_over) == ["look"]


def test_claims_end_with_their_block(planted: Planted) -> None:
    """A fleet that went down leaves its ports to the next one."""
    plan, book = planted.plan(), planted.blueprint.ports
    for _ in range(2):
        with claimed(plan, "big", book) as found:
            assert found.passed_over == {}


def test_a_range_without_room_leaves_no_claim(planted: Planted) -> None:
    """Half a fleet's ports would be kept from others for nothing."""
    plan, book = planted.plan(), planted.blueprint.ports
    with ExitStack() as taken:
        for port in book.span("http"):
            taken.enter_context(socket.create_server((_HERE, port)))
        with pytest.raises(PortsTaken), claimed(plan, "big", book):
            pass
        with socket.create_server((_HERE, hosts(plan)["control"].grpc_port)):
            pass


def _free_run(start: int) -> int:
    """The first of some free ports in a row. Below those that the kernel gives to clients."""
    for first in range(start, 32000, _LENGTH):
        with ExitStack() as held:
            try:
                for port in range(first, first + _LENGTH):
                    held.enter_context(socket.create_server((_HERE, port)))
            except OSError:
                continue
            return first
    raise AssertionError("no run of free ports")
