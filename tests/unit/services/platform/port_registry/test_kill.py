"""The registry as a process of its own, killed with `kill -9`."""

from __future__ import annotations

import os
import signal
import socket
from typing import TypeAlias

from services.platform.port_registry import agent
from tandem.platform.v1 import port_registry_service_pb2 as pb
from tandem.platform.v1 import port_registry_service_pb2_grpc as rpc
from tandemkit.testing.living import living
from tandemkit.testing.parts import short_folder
from tests.unit.services.platform.port_registry import desk

Registry: TypeAlias = "rpc.PortRegistryServiceAsyncStub"


async def test_m020_kill_9_of_the_registry_takes_no_port_from_its_owner() -> None:
    """The next life knows the lease though its owner does not listen at that moment."""
    with short_folder() as folder:
        settings = {"portsFile": desk.listed(folder, desk.span(12)).ports_file}
        async with living(agent, folder, settings) as (process, channel):
            stub: Registry = rpc.PortRegistryServiceStub(channel)
            asked = stub.AllocatePort(desk.ask("text-tell"), wait_for_ready=True)
            lease = (await asked).lease
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        # The kernel gave the port back with the process: only the record keeps it.
        socket.create_server(("127.0.0.1", lease.port)).close()
        async with living(agent, folder, settings) as (_, channel):
            stub = rpc.PortRegistryServiceStub(channel)
            request = desk.ask("another", preferred=lease.port)
            other = await stub.AllocatePort(request, wait_for_ready=True)
            assert other.lease.port != lease.port
            renewed = await stub.RenewPorts(pb.RenewPortsRequest(owner="text-tell"))
            assert [one.port for one in renewed.leases] == [lease.port]
