"""A control, hosts that announce themselves at it, and stock clients: each a process of its own."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import ModuleType

import grpc

from tandem.control.v1 import fleet_status_service_pb2 as pb
from tandem.control.v1 import fleet_status_service_pb2_grpc as rpc
from tandemkit.mesh.bootstrap import VARIABLE, Node, bootstrap
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.testing.parts import free_ports
from tandemkit.testing.tokens import shown, token_of_user
from tests.cluster import chain_host, control_host, follower_host
from tests.cluster.eventually import eventually
from tests.cluster.mesh import driver, many_host, trial_host
from tests.cluster.mesh.trial_contract import ALPHA
from tests.cluster.mesh.trial_fleet import Client

MACHINE, GROUP = "mainpc", "trial"
CONTROLS = ("control", "second")


class Controlled:
    """Starts what a test names. All of it ends with the test; what was killed may start again."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        (self._port,) = free_ports(1)
        self.control = f"127.0.0.1:{self._port}"
        self.token = token_of_user(folder)
        self._ports: dict[str, int] = {"control": self._port}
        self._processes: dict[str, Process] = {}
        self._stack = stack

    @property
    def bootstrap(self) -> str:
        """What a client's environment says."""
        return bootstrap(Node("client", MACHINE), self.controls)

    @property
    def controls(self) -> list[str]:
        """Every one that was started, the one with the registry first."""
        return [self.address(name) for name in CONTROLS if name in self._ports]

    async def start_control(self) -> None:
        """With the state that an earlier one left, at the same address."""
        await self._start(control_host, "control", *self._fleet("control"))

    async def start_second(self) -> None:
        """Another machine's control, which follows the registry of the first."""
        said = {"registry": self.control}
        agents = {"control-fleet-status": said, "control-traffic-policy": said}
        settings = self._settings("second", agents)
        fleet = self._fleet("second")
        await self._start(follower_host, "second", *fleet, "--settings", str(settings))

    async def is_stale(self, name: str) -> bool:
        """Whether this control says that what it tells may be old."""
        async with self.at(name) as channel:
            stub = rpc.FleetStatusServiceStub(channel)
            told = await stub.ListAgents(pb.ListAgentsRequest(), wait_for_ready=True, timeout=5)
        return told.HasField("stale_time")

    def at(self, name: str) -> AbstractAsyncContextManager[grpc.aio.Channel]:
        """A channel to that process and no other."""
        return shown(f"127.0.0.1:{self._ports[name]}", self.token)

    async def start_host(self, name: str, *options: str, module: ModuleType = trial_host) -> None:
        """One that serves both trial agents, answers with its name, and is known to control."""
        said = {"text": name}
        settings = self._settings(name, {"trial-alpha": said, "trial-beta": said})
        arguments = (*self._fleet(name), "--group", GROUP, "--settings", str(settings), *options)
        await self._start(module, name, *arguments, ready="host.announced")

    async def start_agents(
        self, name: str, module: ModuleType, settings: Mapping[str, object]
    ) -> None:
        """A host of any other agents, in a group of their own; `settings` are by agent."""
        said = ("--settings", str(self._settings(name, dict(settings))))
        arguments = (*self._fleet(name), "--group", name, *said)
        await self._start(module, name, *arguments, ready="host.announced")

    async def start_chained(self, name: str, role: str, ready: str = "host.announced") -> None:
        """One that calls, is called, or both; in a group for each role."""
        said = {"trial-alpha": {"text": name}} if role != "caller" else {}
        settings = ("--settings", str(self._settings(name, said)))
        arguments = ("--role", role, *self._fleet(name), "--group", role, *settings)
        await self._start(chain_host, name, *arguments, ready=ready)

    async def start_many(self, name: str, group: int) -> None:
        """One that serves all agents of a group of many."""
        arguments = ("--agents-of", str(group), *self._fleet(name), "--group", f"group-{group}")
        await self._start(many_host, name, *arguments, ready="host.announced")

    def address(self, name: str) -> str:
        """Of a host that was started."""
        return f"127.0.0.1:{self._ports[name]}"

    async def client(self) -> Client:
        """A stock grpcio on `xds:///tandem`."""
        socket = self.folder / "client.sock"
        environment = {**self._environment(), VARIABLE: self.bootstrap}
        argv = (sys.executable, "-m", driver.__name__, f"unix:{socket}", "xds:///tandem")
        command = Command(argv, self.folder / "client.log", env=environment)

        async def listens() -> None:
            assert socket.exists()

        process = await self._stack.enter_async_context(supervised_process(command, ready=listens))
        channel = grpc.aio.insecure_channel(f"unix:{socket}")
        return Client(await self._stack.enter_async_context(channel), process.pid)

    async def kill(self, name: str) -> None:
        """As the kernel would for want of memory: without a word."""
        self.send(name, signal.SIGKILL)
        await self._processes[name].wait()

    def send(self, name: str, number: signal.Signals) -> None:
        """SIGSTOP freezes it: its connections stay open, and nothing is answered."""
        os.kill(self._processes[name].pid, number)

    async def until_serving(
        self, *names: str, service: str = ALPHA, told_by: str = "control"
    ) -> None:
        """Returns once this control lists just these hosts as serving the agent."""
        async with self.at(told_by) as channel:
            stub = rpc.FleetStatusServiceStub(channel)

            async def look() -> set[str]:
                request = pb.ListAgentsRequest()
                told = await stub.ListAgents(request, wait_for_ready=True, timeout=5)
                return {
                    one.host
                    for agent in told.agents
                    for one in agent.instances
                    if agent.service == service and one.serving
                }

            await eventually(look, lambda found: found == {f"hosts/{name}" for name in names})

    async def _start(
        self, module: ModuleType, name: str, *arguments: str, ready: str = "host.serving"
    ) -> None:
        port = self._ports.setdefault(name, 0) or free_ports(1)[0]
        self._ports[name] = port
        state = str(self.folder / f"{name}.state")
        where = ("--listen", f"127.0.0.1:{port}", "--state", state)
        log_path = self.folder / f"{name}.log"
        log_path.unlink(missing_ok=True)
        argv = (sys.executable, "-m", module.__name__, *where, *arguments)
        command = Command(argv, log_path, env=self._environment())

        async def is_ready() -> None:
            assert ready in log_path.read_text()

        self._processes[name] = await self._stack.enter_async_context(
            supervised_process(command, ready=is_ready)
        )

    def _fleet(self, name: str) -> tuple[str, ...]:
        return ("--control", ",".join(self.controls), "--machine", MACHINE, "--host-name", name)

    def _settings(self, name: str, said: object) -> Path:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(said))
        return path

    def _environment(self) -> dict[str, str]:
        return {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(self.folder)}


@asynccontextmanager
async def controlled(folder: Path) -> AsyncIterator[Controlled]:
    async with AsyncExitStack() as stack:
        fleet = Controlled(folder, stack)
        await fleet.start_control()
        yield fleet
