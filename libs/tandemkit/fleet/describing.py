"""The finished plan as a message: hosts with their ports, layers, remarks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tandem.fleet.v1 import plan_pb2 as pb
from tandem.fleet.v1.resources_pb2 import MemoryPool
from tandemkit.core.names import INFERENCE
from tandemkit.fleet import asks
from tandemkit.fleet.hosts import Part, WantedHost
from tandemkit.fleet.limits import Limits
from tandemkit.fleet.needs import REGISTRY, Graph
from tandemkit.fleet.placing import Room, on_cpu
from tandemkit.fleet.stanzas import Stanza
from tandemkit.written.marked import Mistake
from tandemkit.written.pools import pool_name
from tandemkit.written.ports import CONTROL, KSERVE, PortBook

GRPC, HTTP = "grpc", "http"
# What listens at a port of its own, by the name of that; the first counts for a host of both.
_LOOKED_FOR = {CONTROL: REGISTRY, KSERVE: INFERENCE}


class Describing:
    """Writes rooms that are full, of a graph without mistakes."""

    def __init__(self, graph: Graph, limits: Limits, ports: PortBook) -> None:
        self.mistakes: list[Mistake] = []
        self._graph, self._limits, self._ports = graph, limits, ports
        self._layer_of = graph.layer_of()

    def plan(self, profile: str, rooms: Sequence[Room]) -> pb.Plan:
        """What is left to go wrong, ports that do not suffice, is in `mistakes` afterwards."""
        stanzas = {
            one.fields.name: one for room in rooms for host in room.hosts for one in host.members
        }
        self._priorities = self._graph.priorities(stanzas)
        plan = pb.Plan(profile=profile, machines=[self._machine(room) for room in rooms])
        hosts = [host for machine in plan.machines for host in machine.hosts]
        for number in range(1 + max(self._layer_of.values(), default=-1)):
            starting = sorted(host.name for host in hosts if host.layer == number)
            serving = sorted(name for name, layer in self._layer_of.items() if layer == number)
            plan.layers.add(hosts=starting, agents=serving)
        plan.remarks.extend(sorted({*self._graph.remarks, *_without_gpu(rooms)}))
        plan.ports.CopyFrom(self._ports.file.fields)
        return plan

    def _machine(self, room: Room) -> pb.PlannedMachine:
        machine = room.machine
        found = pb.PlannedMachine(
            name=machine.name,
            address=machine.address,
            cpu_cores=machine.cpu_cores,
            memory_mib=machine.memory_mib,
        )
        for kind in sorted(room.pools):
            name = pool_name(kind)
            size = room.ledger.size(name)
            planned = size - room.ledger.free(name)
            found.pools.add(pool=MemoryPool.ValueType(kind), memory_mib=size, planned_mib=planned)
        for gpu in machine.gpus:
            found.gpus.add(
                name=gpu.name,
                memory_mib=gpu.memory_mib,
                reserved_percent=gpu.reserved_percent,
                planned_percent=room.gpu_planned(gpu.name),
            )
        hosts = sorted(room.hosts, key=lambda one: (self._layer(one), one.name))
        by_range: dict[str, list[WantedHost]] = {GRPC: []}
        for host in hosts:
            by_range.setdefault(host.port_range or GRPC, []).append(host)
        grpc = {
            host.name: port
            for name, some in by_range.items()
            for host, port in zip(some, self._numbers(room, some, name), strict=True)
        }
        for host, http_port in zip(hosts, self._numbers(room, hosts, HTTP), strict=True):
            found.hosts.append(self._host(room, host, (grpc[host.name], http_port)))
        return found

    def _numbers(self, room: Room, hosts: Sequence[WantedHost], name: str) -> Iterator[int]:
        free = list(self._ports.free(name))
        fixed = self._looked_for(hosts) if name == GRPC else {}
        others = [one.name for one in hosts if one.name not in fixed]
        if len(others) > len(free):
            said = (
                f"{room.machine.name} needs {len(others)} ports of `{name}`, and {len(free)} are "
                f"free: make the range {len(others) - len(free)} longer"
            )
            self.mistakes.append(self._ports.short_of(name, said))
        numbers = {**dict(zip(others, free, strict=False)), **fixed}
        return (numbers.get(one.name, 0) for one in hosts)

    def _looked_for(self, hosts: Sequence[WantedHost]) -> dict[str, int]:
        """Hosts that clients who know no other find at one port, each with it."""
        found: dict[str, int] = {}
        for name, service in _LOOKED_FOR.items():
            serving = (one.name for one in hosts if _serves(one, service))
            host = next(serving, "")
            if host and name in self._ports.fixed:
                found.setdefault(host, self._ports.fixed[name])
        return found

    def _host(self, room: Room, host: WantedHost, ports: tuple[int, int]) -> pb.PlannedHost:
        agents = [self._agent(room, host, part, one) for part in host.parts for one in part.members]
        agents.sort(key=lambda one: one.name)
        free = any(not one.cpu_cores for one in agents)
        cores = {core for one in agents for core in one.cpu_cores}
        gpu = room.gpu_of[host.name]
        return pb.PlannedHost(
            name=host.name,
            groups=sorted(part.group.fields.name for part in host.parts),
            grpc_port=ports[0],
            http_port=ports[1],
            memory_mib=sum(host.asks_mib().values()),
            pool=host.pool,
            gpu=gpu,
            gpu_percent=host.gpu_percent if gpu else 0,
            cpus_max=host.cpus_max,
            cpu_cores=[] if free else sorted(cores),
            layer=self._layer(host),
            agents=agents,
            memory_mib_max=host.memory_mib_max,
            runtime=host.runtime,
            port_range=host.port_range,
        )

    def _layer(self, host: WantedHost) -> int:
        """One that has no agent yet waits for the registry, as all do."""
        layers = (self._layer_of[one.fields.name] for one in host.members)
        return min(layers, default=min(1, max(self._layer_of.values(), default=0)))

    def _agent(self, room: Room, host: WantedHost, part: Part, one: Stanza) -> pb.PlannedAgent:
        fields = one.fields
        found = pb.PlannedAgent(
            name=fields.name,
            service=fields.service,
            memory_mib=asks.agent_memory_mib(fields),
            pool=asks.pool(fields),
            priority=self._priorities[fields.name],
            gpu_percent=fields.gpu_percent if room.gpu_of[host.name] else 0,
            cpus_max=fields.cpus_max,
            cpu_cores=self._limits.cores_of(part, one, room),
            layer=self._layer_of[fields.name],
            waits_for=self._graph.waits_for[fields.name],
            secrets=fields.secrets,
            optional_secrets=fields.optional_secrets,
        )
        if fields.HasField("stall_max"):
            found.stall_max.CopyFrom(fields.stall_max)
        if one.settings is not None:
            found.settings.Pack(one.settings, deterministic=True)
        return found


def _serves(host: WantedHost, service: str) -> bool:
    return any(one.fields.service == service for one in host.members)


def _without_gpu(rooms: Sequence[Room]) -> Iterator[str]:
    for room in rooms:
        for one in on_cpu(room):
            yield f"{one.fields.name} runs on the CPU, for {room.machine.name} has no GPU"
