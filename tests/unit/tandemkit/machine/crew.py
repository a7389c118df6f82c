"""A machine whose hosts are processes that only wait, and serve when a test says so."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from tandem.control.v1 import machine_pb2 as pb
from tandem.control.v1 import traffic_policy_pb2 as policy
from tandem.fleet.v1.plan_pb2 import Plan
from tandemkit.core.clock import SystemClock
from tandemkit.fleet.needs import REGISTRY
from tandemkit.machine.code import Code
from tandemkit.machine.foreman import Foreman, Identity
from tandemkit.machine.home import Home
from tandemkit.machine.launching import Ground
from tandemkit.machine.news import News
from tandemkit.machine.orders import MACHINE, Order
from tandemkit.machine.sight import Sight, Tell

CLOCK = SystemClock()
_WAITS = "import signal; signal.pause()"


def plan_of(*layers: dict[str, list[str]]) -> Plan:
    """Of each layer its hosts with their agents. Layer 0 has control and the supervisor besides."""
    plan = Plan(profile="laptop")
    plan.ports.ranges.add(name="grpc", first=18300, last=18399)
    plan.ports.ranges.add(name="http", first=19300, last=19399)
    machine = plan.machines.add(name="laptop", address="localhost")
    first = {"control": ["control-registry"], "machine": ["control-machine"]}
    port = 18300
    for number, hosts in enumerate(({**first, **(layers[0] if layers else {})}, *layers[1:])):
        layer = plan.layers.add(hosts=hosts)
        for name, agents in hosts.items():
            host = machine.hosts.add(name=name, layer=number, grpc_port=port, http_port=port + 1000)
            port += 1
            layer.agents.extend(agents)
            for agent in agents:
                host.agents.add(name=agent, service=service_of(agent), layer=number)
    return plan


def service_of(agent: str) -> str:
    known = {"control-registry": REGISTRY, "control-machine": MACHINE}
    family, _, name = agent.partition("-")
    return known.get(agent, f"tandem.{family}.v1.{name.capitalize()}Service")


def wanted_of(plan: Plan) -> pb.WantedMachine:
    note = policy.ChangeNote(author="test", reason="because")
    return pb.WantedMachine(machine="laptop", plan=plan, note=note, generation=1)


class FakeWatching:
    """What a test says of each host, by its address."""

    def __init__(self) -> None:
        self._news = News()
        self._sights: dict[str, Sight] = {}

    def say(self, host: pb.HostStanding, *serving: str) -> None:
        """These agents of the host serve, and its others do not."""
        self._sights[host.address] = Sight(
            {
                one.service: pb.AgentStanding(
                    name=one.name,
                    service=one.service,
                    state=pb.AGENT_STATE_SERVING
                    if one.name in serving
                    else pb.AGENT_STATE_NOT_SERVING,
                    cause="" if one.name in serving else "it has no model",
                )
                for one in host.agents
            }
        )
        self._news.tell()

    def use(self, host: pb.HostStanding, memory_bytes: int) -> None:
        """The same, and it uses so much."""
        was = self._sights[host.address]
        self._sights[host.address] = replace(was, memory_bytes=memory_bytes)
        self._news.tell()

    async def watch(self, address: str, tell: Tell) -> None:
        while True:
            change = self._news.next()
            if address in self._sights:
                tell(self._sights[address])
            await change.wait()


class Machine:
    """One life of a supervisor."""

    def __init__(self, folder: Path, broken: str = "") -> None:
        self.home = Home(folder)
        self.home.prepare()
        self.watching = FakeWatching()
        self.has_ended = False
        # The host that cannot start.
        self.broken = broken
        self.news = News()
        # Told of what can wait.
        self.usage = News()

        def argv(order: Order, _home: Home) -> tuple[str, ...]:
            script = "raise SystemExit('no model here')" if order.name == self.broken else _WAITS
            return (sys.executable, "-I", "-S", "-c", script)

        told, used = self.news.tell, self.usage.tell
        ground = Ground(self.home, CLOCK, self.watching, {}, told, argv, used=used)
        identity = Identity(1, "0.0.1", CLOCK.now())
        self.foreman = Foreman(ground, self.news, Code(None, None), identity, self._end)

    def host(self, name: str) -> pb.HostStanding:
        return next(one for one in self.foreman.machine().hosts if one.host == name)

    def state(self, name: str) -> pb.HostState.ValueType:
        return self.host(name).state

    async def until(self, name: str, state: pb.HostState.ValueType) -> pb.HostStanding:
        await self.news.until(lambda: self.state(name) == state)
        return self.host(name)

    async def serve(self, name: str) -> pb.HostStanding:
        """Returns when the host does, which it does once it has a process."""
        await self.news.until(lambda: bool(self.host(name).pid))
        host = self.host(name)
        self.watching.say(host, *(one.name for one in host.agents))
        return await self.until(name, pb.HOST_STATE_SERVING)

    def _end(self) -> None:
        self.has_ended = True
        self.news.tell()


@asynccontextmanager
async def machine(folder: Path, broken: str = "") -> AsyncIterator[Machine]:
    """Nothing of it is left afterwards."""
    one = Machine(folder, broken)
    try:
        yield one
    finally:
        one.foreman.shut_down()
        await one.news.until(lambda: one.has_ended)
        await one.foreman.leave()
