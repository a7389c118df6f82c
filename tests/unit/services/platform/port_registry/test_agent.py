"""Catalogue row M020: a machine's ports, each lent to one owner, through a real server."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest

from services.platform.port_registry.agent import AGENT, PortsRefused
from tandem.control.v1 import machine_pb2 as control
from tandem.control.v1 import machine_service_pb2 as machine_pb
from tandem.platform.config.v1 import port_registry_pb2 as cfg
from tandem.platform.v1 import port_registry_service_pb2 as pb
from tandem.platform.v1 import port_registry_service_pb2_grpc as rpc
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.agents import fake_agent, serving
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.failures import Failure, failure_of
from tests.cluster.eventually import eventually
from tests.unit.services.platform.port_registry.desk import ask, changed, listed, span

CODE = grpc.StatusCode
Registry: TypeAlias = "rpc.PortRegistryServiceAsyncStub"


async def refusal(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return failure_of(raised.value)


async def test_m020_a_port_is_allocated_looked_up_and_released(
    registry: Registry, ports: range
) -> None:
    """Lookup says whose it is and what for; released it is free again."""
    lease = (await registry.AllocatePort(ask("text-tell"))).lease
    assert lease.port in ports[1:-1]
    assert (lease.owner, lease.use, lease.range, lease.term.seconds) == (
        *("text-tell", "debug", "grpc"),
        30,
    )
    found = await registry.LookupPort(pb.LookupPortRequest(port=lease.port))
    assert found.port == pb.Port(
        port=lease.port, standing=pb.PORT_STANDING_LENT, range="grpc", lease=lease
    )
    assert not found.bound
    done = await registry.ReleasePorts(pb.ReleasePortsRequest(owner="text-tell", port=lease.port))
    assert list(done.ports) == [lease.port]
    found = await registry.LookupPort(pb.LookupPortRequest(port=lease.port))
    assert found.port.standing == pb.PORT_STANDING_FREE


async def test_a_retry_keeps_the_port(registry: Registry, ports: range) -> None:
    """One owner has one port for one use, however often it asks, and another for another use."""
    first = await registry.AllocatePort(ask("text-tell"))
    assert (await registry.AllocatePort(ask("text-tell"))).lease.port == first.lease.port
    preferred = ports[1] if ports[1] != first.lease.port else ports[2]
    again = await registry.AllocatePort(ask("text-tell", preferred=preferred))
    assert (again.lease.port, bool(again.passed_over)) == (first.lease.port, True)
    assert (await registry.AllocatePort(ask("text-tell", "trace"))).lease.port != first.lease.port


async def test_m020_no_port_is_given_twice_to_concurrent_callers(
    registry: Registry, ports: range
) -> None:
    """Three times as many callers as ports, all at once: who gets one can listen there, and the
    others hear that there is none.
    """
    calls = (registry.AllocatePort(ask(f"owner-{number}")) for number in range(3 * len(ports)))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    lent = [one.lease.port for one in answers if isinstance(one, pb.AllocatePortResponse)]
    assert len(lent) >= len(ports) // 2
    with ExitStack() as listening:
        for port in lent:
            listening.enter_context(socket.create_server(("127.0.0.1", port)))
    assert len(set(lent)) == len(lent)
    assert set(lent) <= set(ports[1:-1])
    failed = [failure_of(one) for one in answers if isinstance(one, grpc.aio.AioRpcError)]
    assert len(failed) + len(lent) == 3 * len(ports)
    assert {(one.code, one.reason) for one in failed} == {
        (CODE.RESOURCE_EXHAUSTED, "PORTS_EXHAUSTED")
    }
    assert failed[0].metadata["lent"] == str(len(lent))
    assert "owner-" in failed[0].metadata["owners"]


async def test_m020_a_port_that_somebody_listens_on_is_passed_over(
    registry: Registry, ports: range
) -> None:
    """Whoever it is, and on whichever address; the answer says why it is another port."""
    taken = (await registry.AllocatePort(ask("probe"))).lease.port
    await registry.ReleasePorts(pb.ReleasePortsRequest(owner="probe"))
    with socket.create_server(("127.0.0.1", taken)):
        answer = await registry.AllocatePort(ask("text-tell", preferred=taken))
        found = await registry.LookupPort(pb.LookupPortRequest(port=taken))
    assert answer.lease.port != taken
    assert answer.passed_over == "cannot be bound: Address already in use"
    assert found.bound == "cannot be bound: Address already in use"


@pytest.mark.parametrize(("place", "why"), [(0, "it is the port of `control`"), (-1, "somebody")])
async def test_m020_fixed_and_reserved_ports_are_never_lent(
    registry: Registry, ports: range, place: int, why: str
) -> None:
    """Not even to who asks for them by number."""
    answer = await registry.AllocatePort(ask("text-tell", preferred=ports[place]))
    assert answer.lease.port != ports[place]
    assert why in answer.passed_over


async def test_m020_a_planned_hosts_port_is_not_lent_while_it_is_down(
    tmp_path: Path, ports: range
) -> None:
    """It will want it again; lookup says whose it is, and other ports are lent meanwhile."""
    answer = machine_pb.GetMachineResponse(machine=control.Machine(name="box"))
    machine = answer.plan.machines.add(name="box")
    machine.hosts.add(name="agents", grpc_port=ports[-2], http_port=ports[-3])
    answer.plan.machines.add(name="other").hosts.add(name="far", grpc_port=ports[-4])

    async def get(_request: object, _context: object) -> machine_pb.GetMachineResponse:
        return answer

    async def watch(
        _request: object, _context: object
    ) -> AsyncIterator[machine_pb.WatchMachineResponse]:
        yield machine_pb.WatchMachineResponse(machine=answer.machine)
        await asyncio.Event().wait()

    settings = listed(tmp_path, ports)
    supervisor = fake_agent(machine_pb.DESCRIPTOR, GetMachine=get, WatchMachine=watch)
    beside = serving(AGENT, settings=settings, beside=[supervisor], state_dir=tmp_path)
    async with beside as channel:
        stub: Registry = rpc.PortRegistryServiceStub(channel)

        async def standing() -> int:
            lookup = pb.LookupPortRequest(port=ports[-3])
            return (await stub.LookupPort(lookup)).port.standing

        await eventually(standing, lambda it: it == pb.PORT_STANDING_PLANNED)
        asked = await stub.AllocatePort(ask("text-tell", preferred=ports[-2]))
        assert asked.passed_over == "is reserved: the plan gives it to hosts/box-agents"
        assert asked.lease.port not in {ports[-2], ports[-3]}
        found = (await stub.LookupPort(pb.LookupPortRequest(port=ports[-3]))).port
        assert (found.standing, found.meaning) == (pb.PORT_STANDING_PLANNED, "hosts/box-agents")
        (range_,) = (await stub.ListPortRanges(pb.ListPortRangesRequest())).ranges
        assert range_.free == len(ports) - 5
        listing = (await stub.ListPorts(pb.ListPortsRequest(range="grpc"))).ports
        assert {ports[-2], ports[-3]} <= {one.port for one in listing}


async def test_m020_a_crashed_owners_port_comes_back(
    registry: Registry, clock: FakeClock, ports: range
) -> None:
    """It stops renewing, and after its term another has the port; who renews keeps it."""
    crashed = (await registry.AllocatePort(ask("crashed", term_s=5))).lease.port
    alive = (await registry.AllocatePort(ask("alive", term_s=5))).lease.port
    for _ in range(4):
        await clock.advance(2)
        await registry.RenewPorts(pb.RenewPortsRequest(owner="alive"))
    listed = await registry.ListPorts(pb.ListPortsRequest(owner="crashed"))
    assert not listed.ports
    failed = await refusal(registry.RenewPorts(pb.RenewPortsRequest(owner="crashed")))
    assert (failed.code, failed.reason) == (CODE.NOT_FOUND, "PORT_LEASE_UNKNOWN")
    heir = await registry.AllocatePort(ask("heir", preferred=crashed))
    assert heir.lease.port == crashed
    assert (await registry.AllocatePort(ask("alive"))).lease.port == alive


async def test_m020_the_port_of_a_process_comes_back_when_it_ends(
    registry: Registry, tmp_path: Path
) -> None:
    """At once, whatever is left of the term, though it was killed."""
    async with supervised_process(Command(("sleep", "60"), tmp_path / "log")) as owner:
        request = ask("text-tell", term_s=1000)
        request.pid = owner.pid
        port = (await registry.AllocatePort(request)).lease.port
        os.kill(owner.pid, signal.SIGKILL)

        async def lent() -> bool:
            return bool((await registry.ListPorts(pb.ListPortsRequest(owner="text-tell"))).ports)

        await eventually(lent, lambda it: not it)
        heir = await registry.AllocatePort(ask("heir", preferred=port))
        assert heir.lease.port == port
        failed = await refusal(registry.AllocatePort(request))
        assert (failed.code, failed.reason) == (CODE.FAILED_PRECONDITION, "PROCESS_NOT_RUNNING")
        assert not await lent()


async def test_a_lease_outlives_a_restart_of_the_registry(tmp_path: Path, ports: range) -> None:
    """Also where its owner listens meanwhile; nobody else is given the port."""
    settings, clock = listed(tmp_path, ports), FakeClock()
    async with serving(AGENT, settings=settings, state_dir=tmp_path, clock=clock) as channel:
        stub: Registry = rpc.PortRegistryServiceStub(channel)
        first = (await stub.AllocatePort(ask("text-tell"))).lease
        other = (await stub.AllocatePort(ask("idle"))).lease
    with socket.create_server(("127.0.0.1", first.port)):
        async with serving(AGENT, settings=settings, state_dir=tmp_path, clock=clock) as channel:
            stub = rpc.PortRegistryServiceStub(channel)
            leases = (await stub.RenewPorts(pb.RenewPortsRequest(owner="text-tell"))).leases
            assert list(leases) == [first]
            answer = await stub.AllocatePort(ask("another", preferred=other.port))
            assert answer.lease.port not in {first.port, other.port}
            assert answer.passed_over == "is reserved: it is lent to idle"


async def test_the_list_says_what_every_port_means(registry: Registry, ports: range) -> None:
    """A page at a time, by number."""
    lent = (await registry.AllocatePort(ask("text-tell"))).lease.port
    found: list[pb.Port] = []
    request = pb.ListPortsRequest(page_size=2)
    while True:
        page = await registry.ListPorts(request)
        found += page.ports
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    meant = {ports[0]: "control", ports[-1]: "somebody else's", 10010: "gateway", lent: ""}
    assert [(one.port, one.meaning) for one in found] == sorted(meant.items())
    (span_,) = (await registry.ListPortRanges(pb.ListPortRangesRequest())).ranges
    assert (span_.name, span_.first, span_.last) == ("grpc", ports[0], ports[-1])
    assert (span_.lent, span_.free) == (1, len(ports) - 3)
    gateway = (await registry.LookupPort(pb.LookupPortRequest(name="gateway"))).port
    assert (gateway.port, gateway.standing, gateway.range) == (10010, pb.PORT_STANDING_FIXED, "")


async def test_a_refusal_says_what_there_is(registry: Registry, ports: range) -> None:
    """The nearest name, or the range's ends."""
    request = ask("text-tell")
    request.range = "grcp"
    failed = await refusal(registry.AllocatePort(request))
    assert (failed.code, failed.reason) == (CODE.NOT_FOUND, "PORT_RANGE_UNKNOWN")
    assert failed.metadata["known"] == "grpc"
    failed = await refusal(registry.AllocatePort(ask("text-tell", preferred=ports[-1] + 1)))
    assert (failed.code, failed.reason) == (CODE.INVALID_ARGUMENT, "PORT_OUT_OF_RANGE")
    failed = await refusal(registry.LookupPort(pb.LookupPortRequest(name="contrl")))
    assert failed.metadata["near"] == "did you mean `control`?"
    failed = await refusal(registry.ListPorts(pb.ListPortsRequest(page_token="x")))
    assert (failed.code, failed.reason) == (CODE.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


@pytest.mark.parametrize(
    "request_",
    [
        pb.AllocatePortRequest(range="grpc", owner="", use="debug"),
        pb.AllocatePortRequest(range="grpc", owner="a", use="De bug"),
        pb.AllocatePortRequest(range="grpc", owner="a", use="debug", preferred_port=70000),
        ask("a", term_s=100_000),
    ],
)
async def test_what_breaks_a_rule_of_the_contract_is_refused(
    registry: Registry, request_: pb.AllocatePortRequest
) -> None:
    """Before anything is lent."""
    assert (await refusal(registry.AllocatePort(request_))).code == CODE.INVALID_ARGUMENT
    ranges = (await registry.ListPortRanges(pb.ListPortRangesRequest())).ranges
    assert [one.lent for one in ranges] == [0]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("port: 10010", "port: {first}", "is the port of `control` already: take another"),
        ("port: {first},", "port: 80,", "80 is not in `grpc`, {first}-{last}"),
        ("port: 10010", "port: 99999", "less than or equal to 65535"),
    ],
)
async def test_m020_a_duplicate_or_out_of_range_port_fails_start_up(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    """The registry does not lend ports of a list that contradicts itself, and names the line."""
    ports = span(12)
    ends = {"first": ports[0], "last": ports[-1]}
    settings = listed(tmp_path, ports)
    path = changed(settings, before.format(**ends), after.format(**ends))
    with pytest.raises(PortsRefused) as refused:
        async with serving(AGENT, settings=settings, state_dir=tmp_path):
            pass
    assert said.format(**ends) in str(refused.value)
    assert f"{path}:" in refused.value.metadata["mistakes"]


async def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    """An operator sees which file is missing."""
    settings = cfg.PortRegistrySettings(ports_file=str(tmp_path / "none.yaml"))
    with pytest.raises(PortsRefused, match=r"none\.yaml"):
        async with serving(AGENT, settings=settings, state_dir=tmp_path):
            pass
