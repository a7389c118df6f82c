"""Real hosts, a real control plane and a real client for one test of the mesh."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc

from tandemkit.core.clock import SystemClock
from tandemkit.hosting.edge import EdgePlace, RunningEdge, edge
from tandemkit.mesh.ads import DiscoveryServer
from tandemkit.mesh.bootstrap import VARIABLE, Node, bootstrap
from tandemkit.mesh.catalogue import Catalogue, Host, Placement
from tandemkit.mesh.policy import TrafficPolicy
from tandemkit.mesh.publication import Publication
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.parts import demand, free_ports
from tests.cluster.eventually import eventually
from tests.cluster.load import Calls, Outcome
from tests.cluster.mesh import driver, trial_host
from tests.cluster.mesh.driver import MADE, RUN, STOP
from tests.cluster.mesh.trial_contract import ALPHA, ALPHA_FILE, BETA, BETA_FILE

HERE, THERE = "mainpc", "pc2"
GROUP = "trial"
BOTH = (Placement(ALPHA), Placement(BETA))
CONTRACTS = (Contract.of(ALPHA_FILE), Contract.of(BETA_FILE))


@dataclass
class Client:
    """Asks the driver, which is the process `pid`."""

    channel: grpc.aio.Channel
    pid: int

    async def run(self, method: str, count: int, **more: Any) -> Outcome:
        """`method` as `Alpha/Ask`."""
        agent, _, rpc = method.partition("/")
        return await self.run_at(f"/tandem.trial.v1.{agent}Service/{rpc}", count, **more)

    async def run_at(self, path: str, count: int, **more: Any) -> Outcome:
        """A method of any agent; unless it is told otherwise, of one that asks and answers as the
        trial agents do.
        """
        calls = Calls(path, count, **more)
        ask: Any = self.channel.unary_unary(RUN)
        told = await ask(json.dumps(vars(calls)).encode(), wait_for_ready=True)
        return Outcome(**json.loads(told))

    async def stop(self) -> None:
        """Every run ends with the calls that are under way."""
        ask: Any = self.channel.unary_unary(STOP)
        await ask(b"", wait_for_ready=True)

    async def made(self) -> int:
        """Calls made so far, over all runs."""
        ask: Any = self.channel.unary_unary(MADE)
        return int(json.loads(await ask(b"", wait_for_ready=True)))

    async def until_only(self, method: str, *answering: str) -> None:
        """Returns once none but these answer, and all of them do: a change has arrived."""

        async def look() -> set[str]:
            return set((await self.run(method, 20, at_once=1)).answers)

        await eventually(look, lambda found: found == set(answering))

    async def has_made(self, count: int) -> None:
        """Returns once it has made that many."""
        await eventually(self.made, lambda made: made >= count)


class Fleet:
    """Starts what a test names. All of it ends with the test."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.publication = Publication(SystemClock())
        self.processes: dict[str, Process] = {}
        self.hosts: dict[str, Host] = {}
        self.discoveries: list[DiscoveryServer] = []
        self._stack = stack

    async def control(self, port: int = 0) -> tuple[Server, int]:
        """One more control plane on the same publication, and its port."""
        server = Server()
        discovery = DiscoveryServer(self.publication)
        self.discoveries.append(discovery)
        server.also(discovery.generic_handler(), discovery.close)
        bound = await server.start(f"127.0.0.1:{port}")
        self._stack.push_async_callback(server.drain, 0.0)
        return server, bound

    async def host(
        self,
        name: str,
        machine: str = HERE,
        *,
        version: str = "",
        placements: Sequence[Placement] = BOTH,
    ) -> Host:
        """A host of both agents, serving; it is not published yet."""
        (port,) = free_ports(1)
        settings = self.folder / f"{name}.json"
        said = {"text": name}
        settings.write_text(json.dumps({"trial-alpha": said, "trial-beta": said}))
        arguments = ("--listen", f"127.0.0.1:{port}", "--state", str(self.folder / name))
        command = self._command(trial_host, name, *arguments, "--settings", str(settings))

        async def serves() -> None:
            assert "host.serving" in command.log_path.read_text()

        self.processes[name] = await self._stack.enter_async_context(
            supervised_process(command, ready=serves)
        )
        place = (machine, "127.0.0.1", port)
        self.hosts[name] = Host(name, GROUP, *place, tuple(placements), version)
        return self.hosts[name]

    async def client(
        self, *ports: int, machine: str = HERE, name: str = "client", believing: bool = False
    ) -> Client:
        """A client of the control planes on these ports. One that is `believing` gives up what a
        control plane no longer mentions, as clients with a bootstrap of their own may.
        """
        text = bootstrap(Node(name, machine), [f"127.0.0.1:{port}" for port in ports])
        if believing:
            text = text.replace("ignore_resource_deletion", "unheard_of")
        return await self._driven(name, "xds:///tandem", text)

    async def plain_client(self, port: int) -> Client:
        """One that knows a single address and nothing of xDS."""
        return await self._driven(f"plain-{port}", f"ipv4:127.0.0.1:{port}")

    async def edge(self, *ports: int, machine: str = HERE, **more: Any) -> RunningEdge:
        """An Envoy that the control planes on these ports drive."""
        place = self.edge_place(*ports, machine=machine, **more)
        return await self._stack.enter_async_context(edge(place))

    def edge_place(self, *ports: int, machine: str = HERE, **more: Any) -> EdgePlace:
        """Where it would run."""
        return EdgePlace(
            program=demand("envoy")["envoy"],
            log_path=self.folder / "edge.log",
            node=Node("edge", machine),
            control_planes=[f"127.0.0.1:{port}" for port in ports],
            **more,
        )

    async def _driven(self, name: str, target: str, bootstrap: str = "") -> Client:
        address = f"unix:{self.folder}/{name}.sock"
        command = self._command(driver, name, address, target, bootstrap=bootstrap)
        channel = grpc.aio.insecure_channel(address)
        await self._stack.enter_async_context(channel)

        async def listens() -> None:
            assert (self.folder / f"{name}.sock").exists()

        process = await self._stack.enter_async_context(supervised_process(command, ready=listens))
        return Client(channel, process.pid)

    def publish(
        self,
        policy: TrafficPolicy | None = None,
        *,
        without: str = "",
        contracts: Sequence[Contract] = CONTRACTS,
    ) -> None:
        """All hosts that were started, but for one that is not there any more."""
        hosts = tuple(
            dataclasses.replace(host, serving=name != without) for name, host in self.hosts.items()
        )
        catalogue = Catalogue(hosts, tuple(contracts), front=ALPHA)
        self.publication.publish(catalogue, policy or TrafficPolicy())

    def ail(self, name: str, *, ill: bool) -> None:
        """While it is ill, each call of its agents fails, of which its health knows nothing."""
        for agent in ("trial-alpha", "trial-beta"):
            sign = self.folder / name / agent / trial_host.ILL
            sign.touch() if ill else sign.unlink()

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        os.kill(self.processes[name].pid, number)

    def _command(
        self, module: ModuleType, name: str, *arguments: str, bootstrap: str = ""
    ) -> Command:
        environment = {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(self.folder)}
        if bootstrap:
            environment[VARIABLE] = bootstrap
        argv = (sys.executable, "-m", module.__name__, *arguments)
        return Command(argv, self.folder / f"{name}.log", env=environment)


@asynccontextmanager
async def trial_fleet(folder: Path) -> AsyncIterator[Fleet]:
    async with Tasks() as tasks, AsyncExitStack() as stack:
        fleet = Fleet(folder, stack)
        tasks.spawn("publication", fleet.publication.run())
        yield fleet
