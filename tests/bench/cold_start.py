"""What a hundred agents with a contract each cost in few processes, and in one process each.

The agents are made by tools/new_agent.py into a temporary tree. A control with the embedded
registry and the hosts start at once; it is over when control lists every agent as serving. Then
all of them rest, and the kernel says what they used meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
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
from tests.bench._grown import Grown, grown
from tests.bench._usage import cpu_s, proportional_mb
from tests.cluster import control_host
from tests.cluster.eventually import eventually

AGENTS, HOSTS = 100, 6
# What starting leaves behind is over by then.
SETTLE_S, REST_S = 5.0, 20.0
# A hundred processes on two cores take their time.
START_S_MAX = 300.0
_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Fleet:
    """All processes of it, and how long it took until all agents served."""

    processes: Sequence[Process]
    serving_s: float

    @property
    def cpu_s(self) -> float:
        return sum(cpu_s(one.pid) for one in self.processes)

    @property
    def memory_mb(self) -> float:
        return sum(proportional_mb(one.pid) for one in self.processes)


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
async def fleet(tree: Grown, hosts: int) -> AsyncIterator[Fleet]:
    """Every agent of the tree in one of that many hosts, behind a control."""
    control, *addresses = (f"127.0.0.1:{port}" for port in free_ports(1 + hosts))
    with short_folder() as folder:
        site = Site(tree, folder, control)
        commands = [site.command("control", control)]
        for number, address in enumerate(addresses):
            commands.append(site.command(f"host-{number}", address, tree.agents[number::hosts]))
        async with AsyncExitStack() as stack:
            began_s = _CLOCK.monotonic_s()
            started = [supervised_process(one) for one in commands]
            processes = [await stack.enter_async_context(one) for one in started]
            await _until_listening(processes[0])
            await _until_serving(control, tree.agents, token_of_user(folder))
            yield Fleet(processes, _CLOCK.monotonic_s() - began_s)


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


async def measured(tree: Grown, hosts: int, rest_s: float) -> dict[str, object]:
    async with fleet(tree, hosts) as running:
        start_cpu_s = running.cpu_s
        await _CLOCK.sleep(SETTLE_S)
        before_s, began_s = running.cpu_s, _CLOCK.monotonic_s()
        await _CLOCK.sleep(rest_s)
        idle = (running.cpu_s - before_s) / (_CLOCK.monotonic_s() - began_s)
        return {
            "agents": len(tree.agents),
            "hosts": hosts,
            "processes": len(running.processes),
            "serving_s": round(running.serving_s, 2),
            "start_cpu_s": round(start_cpu_s, 2),
            "memory_mb": round(running.memory_mb, 1),
            "idle_percent": round(100 * idle, 2),
            "load": round(os.getloadavg()[0], 1),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=AGENTS, help="of them (default 100)")
    parser.add_argument("--hosts", type=int, default=HOSTS, help="that share them (default 6)")
    parser.add_argument("--rest-s", type=float, default=REST_S, help="at rest (default 20)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    said = parser.parse_args()
    with short_folder() as folder:
        tree = grown(folder / "tree", said.agents)
        for hosts in (said.hosts, said.agents):
            found = asyncio.run(measured(tree, hosts, said.rest_s))
            _say(found, as_json=said.json)


def _say(found: dict[str, object], *, as_json: bool) -> None:
    line = (
        f"{found['agents']} agents in {found['hosts']} hosts and a control: all serve after "
        f"{found['serving_s']} s ({found['start_cpu_s']} s of CPU), {found['memory_mb']} MB (PSS), "
        f"at rest {found['idle_percent']} % of one core; load {found['load']}"
    )
    sys.stdout.write((json.dumps({"bench": "cold_start", **found}) if as_json else line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
