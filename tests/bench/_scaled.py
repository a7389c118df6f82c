"""A control of its own process, who listens to it, and the two homes of the agent that moves."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc

from tandemkit.core.clock import SystemClock
from tandemkit.hosting.vouching import by_key, key_beside
from tandemkit.mesh.bootstrap import VARIABLE, Node, bootstrap
from tandemkit.mesh.snapshot import ROUTES
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.parts import free_ports
from tandemkit.testing.tokens import shown, token_of_user
from tests.bench import _watchers
from tests.bench._leases import Registering
from tests.bench._watchers import PORT_HEARD, ROUTE_HEARD, TOLD
from tests.cluster import control_host
from tests.cluster.mesh import driver, trial_host
from tests.cluster.mesh.driver import UNTIL
from tests.cluster.mesh.trial_contract import ALPHA

STREAMS, CLIENTS = 200, 5
# Reading and starting what 200 streams are told of a large fleet.
_START_S = 120.0


@dataclass(frozen=True, slots=True)
class Home:
    """A host that answers with its name, and is registered by the benchmark alone."""

    name: str
    port: int


class Scaled:
    def __init__(self, folder: Path, machine: str, stack: AsyncExitStack) -> None:
        self.homes: tuple[Home, ...] = ()
        self.control_pid = 0
        self._folder, self._machine, self._stack = folder, machine, stack
        self._control = ""
        self._watchers: Any = None
        self._clients: list[grpc.aio.Channel] = []

    async def start(self) -> None:
        control, *ports = free_ports(3)
        self._control = f"127.0.0.1:{control}"
        process = await self._host(control_host, "control", control)
        self.control_pid = process.pid
        for name, port in zip(("x", "y"), ports, strict=True):
            settings = self._folder / f"{name}.json"
            settings.write_text(json.dumps({"trial-alpha": {"text": name}}))
            await self._host(trial_host, name, port, "--settings", str(settings))
            self.homes = (*self.homes, Home(name, port))

    async def start_listeners(self) -> None:
        """The streams, and the clients that call."""
        arguments = (self._control, self._machine, str(STREAMS))
        self._watchers = await self._listening(_watchers, "watchers", *arguments)
        for number in range(CLIENTS):
            client = await self._listening(driver, f"client-{number}", "xds:///tandem")
            self._clients.append(client)
        await self.answered_by(self.homes[0].name)

    @asynccontextmanager
    async def registering(self) -> AsyncIterator[Registering]:
        async with shown(self._control, token_of_user(self._folder)) as channel, Tasks() as tasks:
            key = key_beside(token_of_user(self._folder))
            yield Registering(channel, tasks, by_key(key, SystemClock()))

    async def port_heard(self, cluster: str, port: int) -> list[float]:
        """When each stream knew that this is the cluster's only port."""
        heard: list[float] = await self._ask(self._watchers, PORT_HEARD, [cluster, port])
        return heard

    async def route_heard(self, prefix: str) -> list[float]:
        """When each stream knew the route."""
        heard: list[float] = await self._ask(self._watchers, ROUTE_HEARD, prefix)
        return heard

    async def routes_told(self) -> int:
        """How often one of the streams was told the routes."""
        told: dict[str, int] = await self._ask(self._watchers, TOLD, None)
        return told.get(ROUTES, 0)

    async def answered_by(self, name: str) -> list[float]:
        """When each client had its first answer from this home."""
        question = [f"/{ALPHA}/Ask", name]
        asked = (self._ask(client, UNTIL, question) for client in self._clients)
        return list(await asyncio.gather(*asked))

    async def _ask(self, channel: grpc.aio.Channel, method: str, question: object) -> Any:
        ask: Any = channel.unary_unary(method)
        wire = json.dumps(question).encode()
        return json.loads(await ask(wire, wait_for_ready=True, timeout=_START_S))

    async def _host(self, module: ModuleType, name: str, port: int, *arguments: str) -> Process:
        where = ("--listen", f"127.0.0.1:{port}", "--state", str(self._folder / name))
        log_path = self._folder / f"{name}.log"

        async def serves() -> None:
            assert "host.serving" in log_path.read_text()

        command = self._command(module, name, *where, *arguments)
        return await self._stack.enter_async_context(supervised_process(command, ready=serves))

    async def _listening(self, module: ModuleType, name: str, *arguments: str) -> grpc.aio.Channel:
        socket = self._folder / f"{name}.sock"

        async def listens() -> None:
            assert socket.exists()

        command = self._command(module, name, f"unix:{socket}", *arguments)
        await self._stack.enter_async_context(supervised_process(command, ready=listens))
        channel = grpc.aio.insecure_channel(f"unix:{socket}")
        return await self._stack.enter_async_context(channel)

    def _command(self, module: ModuleType, name: str, *arguments: str) -> Command:
        environment = {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "HOME": str(self._folder),
            VARIABLE: bootstrap(Node(name, self._machine), [self._control]),
        }
        argv = (sys.executable, "-m", module.__name__, *arguments)
        return Command(argv, self._folder / f"{name}.log", env=environment)


@asynccontextmanager
async def scaled(folder: Path, machine: str) -> AsyncIterator[Scaled]:
    async with AsyncExitStack() as stack:
        fleet = Scaled(folder, machine, stack)
        await fleet.start()
        yield fleet
