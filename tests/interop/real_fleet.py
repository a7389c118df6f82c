"""A control, hosts of a real agent that announce themselves, an edge, and drivers that call."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from services.utility.toolbox.agent import AGENT
from tandem.control.v1 import fleet_status_service_pb2 as status_pb
from tandem.control.v1 import fleet_status_service_pb2_grpc as status_rpc
from tandem.control.v1 import traffic_policy_pb2 as policy_pb
from tandem.control.v1 import traffic_policy_service_pb2 as pb
from tandem.control.v1 import traffic_policy_service_pb2_grpc as rpc
from tandemkit.core.environment import Environment
from tandemkit.core.token import FILE_VARIABLE as TOKEN_FILE_VARIABLE
from tandemkit.hosting.edge import EdgePlace, edge
from tandemkit.mesh.bootstrap import VARIABLE, Node, bootstrap
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.testing.parts import demand, free_ports
from tandemkit.testing.tokens import shown, token_of_user
from tests.cluster import control_host
from tests.cluster.eventually import eventually
from tests.interop import toolbox_host
from tests.interop.building import Built

MACHINE, GROUP = "mainpc", "toolbox"
SERVICE = AGENT.promise.name.service
# What the toolbox says to a quantity without a unit to convert it to.
REFUSAL = {
    "code": "INVALID_ARGUMENT",
    "reason": "INVALID_REQUEST",
    "domain": "tandem.type.v1",
    "fields": ["target_unit"],
}
# At most 800 calls a second: what happens meanwhile happens to many of them.
_ASKED = {
    "address": "",
    "count": 1,
    "at_once": 4,
    "pause_ms": 5,
    "headers": {},
    "refused": False,
}
_RUN_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Answers by the host that gave them, failures by code, and the slowest call of all."""

    answers: Counter[str]
    failures: dict[str, int]
    slowest_s: float
    last_failure: str

    def __str__(self) -> str:
        answers = ", ".join(f"{host} {count}" for host, count in sorted(self.answers.items()))
        failed = sum(self.failures.values())
        return f"{answers}; failed {failed}; slowest {self.slowest_s * 1000:.0f} ms"


@dataclass(frozen=True, slots=True)
class Running:
    """A driver at work."""

    process: Process
    log: Path

    async def has_made(self, count: int) -> int:
        """Returns once it has made that many calls; how many it has made by then."""

        async def look() -> int:
            return max((line["made"] for line in self.lines() if "made" in line), default=0)

        return await eventually(look, lambda made: made >= count, within_s=_RUN_WITHIN_S)

    async def told(self) -> dict[str, Any]:
        """The last that it said, once it has ended well."""
        status = await self.process.wait()
        assert status == 0, self.log.read_text()
        return self.lines()[-1]

    def lines(self) -> list[dict[str, Any]]:
        """What it said so far. What is only half written, or was no answer, is left out."""
        whole = self.log.read_text().rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in whole if line.startswith("{")]


@dataclass
class Fleet:
    """Starts what a test names. All of it ends with the test."""

    folder: Path
    stack: AsyncExitStack
    hosts: dict[str, str] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)
    control: str = ""
    runs: int = 0

    async def start_control(self) -> None:
        self.control = await self._start(control_host, "control", ready="host.serving")

    async def start_host(self, name: str, *, version: str = "") -> None:
        """Serves the toolbox, announced; control tells of it a moment later."""
        arguments = ("--group", GROUP, "--version-label", version)
        self.hosts[name] = await self._start(toolbox_host, name, *arguments, ready="host.announced")

    async def start_edge(self) -> str:
        """Its address. Skips where Envoy is absent."""
        place = EdgePlace(
            program=demand("envoy")["envoy"],
            log_path=self.folder / "edge.log",
            node=Node("edge", MACHINE),
            control_planes=[self.control],
        )
        running = await self.stack.enter_async_context(edge(place))
        return f"127.0.0.1:{running.port}"

    async def until_serving(self) -> None:
        """Returns once control lists every host that was started."""
        wanted = {f"hosts/{name}" for name in self.hosts}
        async with shown(self.control, token_of_user(self.folder)) as channel:
            stub = status_rpc.FleetStatusServiceStub(channel)

            async def look() -> set[str]:
                told = await stub.ListAgents(status_pb.ListAgentsRequest(), timeout=5)
                return {
                    one.host
                    for agent in told.agents
                    for one in agent.instances
                    if agent.service == SERVICE and one.serving
                }

            await eventually(look, lambda found: found == wanted)

    async def share(self, *, testers: str = "", **weights: int) -> None:
        """The traffic policy, by RPC: weights by version, and who gets calls of testers."""
        policy = policy_pb.ServicePolicy(service=SERVICE)
        for version, weight in weights.items():
            policy.shares.add(version=version, weight=weight)
        if testers:
            policy.preferences.add(header="x-tester", value="yes", version=testers)
        note = policy_pb.ChangeNote(author="interop", reason="a test")
        async with shown(self.control, token_of_user(self.folder)) as channel:
            request = pb.SetServicePolicyRequest(policy=policy, note=note)
            await rpc.TrafficPolicyServiceStub(channel).SetServicePolicy(request, timeout=5)

    def kill(self, name: str) -> None:
        """As the kernel would for want of memory: without a word."""
        os.kill(self.processes[name].pid, signal.SIGKILL)

    async def start(self, driver: Built, **calls: Any) -> Running:
        """Over the mesh, unless the calls name an address."""
        self.runs += 1
        log = self.folder / f"{driver.language}-{self.runs}.log"
        asked = {**_ASKED, **calls}
        command = Command((*driver.argv, json.dumps(asked)), log, env=self.shell())
        process = await self.stack.enter_async_context(supervised_process(command))
        return Running(process, log)

    async def run(
        self,
        driver: Built,
        *,
        meanwhile: Callable[[Running], Awaitable[None]] | None = None,
        **calls: Any,
    ) -> Outcome:
        """All calls, to their end, while something happens."""
        running = await self.start(driver, **calls)
        if meanwhile is not None:
            await meanwhile(running)
            assert running.process.exit_status is None, "it happened after the last call"
        told = await running.told()
        names = {address: name for name, address in self.hosts.items()}
        answers = Counter(
            {names.get(address, address): n for address, n in told["answers"].items()}
        )
        return Outcome(answers, told["failures"], told["slowest_s"], told["last_failure"])

    def shell(self) -> dict[str, str]:
        """What a caller's environment says, and no more."""
        told = bootstrap(Node("interop", MACHINE), [self.control])
        token = {TOKEN_FILE_VARIABLE: str(token_of_user(self.folder).path)}
        user = {"PATH": Environment.read().path, "HOME": str(self.folder)}
        return {**user, **token, VARIABLE: told}

    async def _start(self, module: ModuleType, name: str, *arguments: str, ready: str) -> str:
        (port,) = free_ports(1)
        address, log = f"127.0.0.1:{port}", self.folder / f"{name}.log"
        where = ("--listen", address, "--state", str(self.folder / f"{name}.state"))
        member = ("--control", self.control or address, "--machine", MACHINE, "--host-name", name)
        known = {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(self.folder)}
        argv = (sys.executable, "-m", module.__name__, *where, *member, *arguments)
        command = Command(argv, log, env=known)

        async def is_ready() -> None:
            assert ready in log.read_text()

        self.processes[name] = await self.stack.enter_async_context(
            supervised_process(command, ready=is_ready)
        )
        return address


@asynccontextmanager
async def real_fleet(folder: Path) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        fleet = Fleet(folder, stack)
        await fleet.start_control()
        yield fleet
