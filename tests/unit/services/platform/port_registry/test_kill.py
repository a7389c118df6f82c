"""The registry as a process of its own, killed with `kill -9`."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.platform.port_registry import agent
from tandem.platform.v1 import port_registry_service_pb2 as pb
from tandem.platform.v1 import port_registry_service_pb2_grpc as rpc
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.testing.parts import short_folder
from tandemkit.testing.tokens import shown, token_of_user
from tests.unit.services.platform.port_registry import desk

_PROGRAM = f"from {agent.__name__} import main; main()"


@asynccontextmanager
async def living(
    folder: Path, log: Path
) -> AsyncIterator[tuple[Process, rpc.PortRegistryServiceAsyncStub]]:
    """The agent as its own .pex would run it."""
    address = f"unix:{folder}/agent.sock"
    places = ("--state", str(folder / "state"), "--settings", str(folder / "settings.json"))
    argv = (sys.executable, "-c", _PROGRAM, "--listen", address, *places)
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(folder)}
    async with (
        supervised_process(Command(argv, log, env=environment)) as process,
        shown(address, token_of_user(folder)) as channel,
    ):
        yield process, rpc.PortRegistryServiceStub(channel)


async def test_m020_kill_9_of_the_registry_takes_no_port_from_its_owner(tmp_path: Path) -> None:
    """The next life knows the lease though its owner does not listen at that moment."""
    ports = desk.span(12)
    with short_folder() as folder:
        settings = desk.listed(folder, ports)
        named = {"platform-port-registry": {"portsFile": settings.ports_file}}
        (folder / "settings.json").write_text(json.dumps(named), "utf-8")
        async with living(folder, tmp_path / "first") as (process, stub):
            asked = stub.AllocatePort(desk.ask("text-tell"), wait_for_ready=True)
            lease = (await asked).lease
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        # The kernel gave the port back with the process: only the record keeps it.
        socket.create_server(("127.0.0.1", lease.port)).close()
        async with living(folder, tmp_path / "second") as (_, stub):
            request = desk.ask("another", preferred=lease.port)
            other = await stub.AllocatePort(request, wait_for_ready=True)
            assert other.lease.port != lease.port
            renewed = await stub.RenewPorts(pb.RenewPortsRequest(owner="text-tell"))
            assert [one.port for one in renewed.leases] == [lease.port]
