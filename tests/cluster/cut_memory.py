"""A client of memories on one machine, and the orchestrator on another; the link between them can
be cut.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from services.memory.memory_client import agent as client_agent
from services.memory.memory_orchestrator import agent as orchestrator_agent
from tandem.memory.v1 import memory_client_service_pb2_grpc as client_rpc
from tandem.memory.v1 import memory_orchestrator_service_pb2 as orchestrator
from tandem.memory.v1 import memory_orchestrator_service_pb2_grpc as orchestrator_rpc
from tandem.memory.v1.memory_pb2 import Memory
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.testing.parts import free_ports, short_folder
from tandemkit.testing.tokens import shown, token_of_user
from tests.cluster import control_host
from tests.cluster.two_namespaces import EAST, WEST, Namespaces, two_namespaces

_CLIENT, _HUB, _CONTROL = "client", "hub", "control"


class CutMemory:
    """Control and orchestrator are in the east, the client is in the west."""

    def __init__(self, folder: Path, networks: Namespaces, stack: AsyncExitStack) -> None:
        self.folder, self.networks, self._stack = folder, networks, stack
        self.token = token_of_user(folder)
        self._ports = dict(zip((_CONTROL, _HUB, _CLIENT), free_ports(3), strict=True))
        self._processes: dict[str, Process] = {}
        # Of the sockets that the test talks over, which no cut reaches.
        self.client: Any = None
        self.orchestrator: Any = None

    async def start(self) -> None:
        await self._start(_CONTROL, EAST, ("-m", control_host.__name__), "host.serving")
        await self._start_agent(_HUB, EAST, orchestrator_agent, {})
        await self.start_client()
        self.client = client_rpc.MemoryClientServiceStub(await self._channel(_CLIENT))
        self.orchestrator = orchestrator_rpc.MemoryOrchestratorServiceStub(
            await self._channel(_HUB)
        )

    async def start_client(self) -> None:
        """With the journal that an earlier one left. It serves without its control."""
        await self._start_agent(_CLIENT, WEST, client_agent, {})

    async def kill_client(self) -> None:
        """As the kernel would for want of memory: without a word."""
        os.kill(self._processes[_CLIENT].pid, signal.SIGKILL)
        await self._processes[_CLIENT].wait()

    async def memories(self) -> list[Memory]:
        """All that the orchestrator has."""
        found: list[Memory] = []
        token = ""
        while True:
            request = orchestrator.ListMemoriesRequest(page_size=1000, page_token=token)
            page = await self.orchestrator.ListMemories(request)
            found += page.memories
            token = page.next_page_token
            if not token:
                return found

    async def _channel(self, name: str) -> Any:
        address = f"unix:{self.folder}/{name}.sock"
        return await self._stack.enter_async_context(shown(address, self.token))

    async def _start_agent(
        self, name: str, address: str, module: ModuleType, settings: Mapping[str, object]
    ) -> None:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps({module.AGENT.name: dict(settings)}))
        control = f"{EAST}:{self._ports[_CONTROL]}"
        fleet = ("--control", control, "--machine", f"machine-{name}", "--host-name", name)
        program = ("-c", f"from {module.__name__} import main; main()")
        said = ("--group", name, "--settings", str(path))
        await self._start(name, address, (*program, *fleet, *said), "host.serving")

    async def _start(self, name: str, address: str, program: tuple[str, ...], ready: str) -> None:
        socket, log_path = self.folder / f"{name}.sock", self.folder / f"{name}.log"
        socket.unlink(missing_ok=True)
        log_path.unlink(missing_ok=True)
        where = ("--listen", f"{address}:{self._ports[name]}", "--socket", str(socket))
        state = ("--state", str(self.folder / f"{name}.state"))
        argv = (*self.networks.into(address), sys.executable, *program, *where, *state)
        environment = {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(self.folder)}

        async def is_ready() -> None:
            assert ready in log_path.read_text()

        command = Command(argv, log_path, env=environment)
        self._processes[name] = await self._stack.enter_async_context(
            supervised_process(command, ready=is_ready)
        )


@asynccontextmanager
async def cut_memory() -> AsyncIterator[CutMemory]:
    """All of it serves, and nothing of it is left afterwards."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(short_folder())
        networks = await stack.enter_async_context(two_namespaces(folder))
        found = CutMemory(folder, networks, stack)
        await found.start()
        yield found
