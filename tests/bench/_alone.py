"""Agents in a process each behind a control, all started at once and supervised by nobody."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tandem.control.v1 import fleet_status_service_pb2 as pb
from tandem.control.v1 import fleet_status_service_pb2_grpc as rpc
from tandemkit.core.clock import SystemClock
from tandemkit.core.names import AgentName
from tandemkit.core.token import Token
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.testing.parts import free_ports, short_folder
from tandemkit.testing.tokens import shown, token_of_user
from tests.bench import _grown_host
from tests.bench._grown import Grown
from tests.cluster import control_host
from tests.cluster.eventually import eventually

# A hundred processes on two cores take their time.
START_S_MAX = 300.0
_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Site:
    """Where the processes of one fleet run, and the address of its control."""

    tree: Grown
    folder: Path
    control: str

    def command(self, name: str, address: str, agents: Sequence[AgentName] = ()) -> Command:
        """Of a host of these agents; of the control where there are none."""
        of_agents = (_grown_host.__name__, "--modules", *(one.module for one in agents))
        program = of_agents if agents else (control_host.__name__,)
        said = {
            "--listen": address,
            "--http": "127.0.0.1:0",
            "--state": str(self.folder / name),
            "--control": self.control,
            "--machine": "machine",
            "--group": name,
            "--host-name": name,
        }
        options = (text for pair in said.items() for text in pair)
        home = {"HOME": str(self.folder), "PATH": os.defpath}
        environment = {"PYTHONPATH": self.tree.python_path, **home}
        argv = (sys.executable, "-m", *program, *options)
        return Command(argv, self.folder / f"{name}.log", env=environment)


@asynccontextmanager
async def alone(tree: Grown) -> AsyncIterator[list[int]]:
    """The processes, from when all agents serve."""
    control, *addresses = (f"127.0.0.1:{port}" for port in free_ports(1 + len(tree.agents)))
    with short_folder() as folder:
        site = Site(tree, folder, control)
        commands = [site.command("control", control)]
        for agent, address in zip(tree.agents, addresses, strict=True):
            commands.append(site.command(agent.short, address, (agent,)))
        async with AsyncExitStack() as stack:
            started = [supervised_process(one) for one in commands]
            processes = [await stack.enter_async_context(one) for one in started]
            await _until_listening(processes[0])
            await _until_serving(control, tree.agents, token_of_user(folder))
            yield [one.pid for one in processes]


async def _until_listening(control: Process) -> None:
    """A client that came too soon would wait a second before it tried again."""

    async def log() -> str:
        return control.log_tail()

    await eventually(log, lambda said: "host.serving" in said, within_s=START_S_MAX)


async def _until_serving(control: str, agents: Sequence[AgentName], token: Token) -> None:
    wanted = {one.service for one in agents}
    async with shown(control, token) as channel:
        stub = rpc.FleetStatusServiceStub(channel)

        async def missing() -> set[str]:
            told = await stub.ListAgents(pb.ListAgentsRequest(page_size=1000), wait_for_ready=True)
            serving = {
                agent.service
                for agent in told.agents
                if any(one.serving for one in agent.instances)
            }
            return wanted - serving

        await eventually(missing, lambda left: not left, within_s=START_S_MAX)
