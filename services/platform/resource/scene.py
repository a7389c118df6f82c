"""What runs on the machine, as its supervisor says, and what was planned to."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tandem.control.v1 import machine_pb2 as control
from tandem.fleet.v1.plan_pb2 import Plan, PlannedHost, PlannedMachine
from tandem.platform.v1 import resource_pb2 as pb

_PROC = Path("/proc")
_MIB = 1024 * 1024
_GONE = (control.AGENT_STATE_SUSPENDED, control.AGENT_STATE_STOPPED)


@dataclass(frozen=True)
class Scene:
    """One moment of the machine."""

    machine: control.Machine = field(default_factory=control.Machine)
    planned: PlannedMachine = field(default_factory=PlannedMachine)

    def states(self) -> dict[str, control.AgentState.ValueType]:
        """By agent. One of a host that has no process is none of them."""
        return {
            agent.name: agent.state
            for host in self.machine.hosts
            if host.pid
            for agent in host.agents
        }

    def running(self, without: Collection[str] = ()) -> Plan:
        """The plan of those who run here, as far as ending them would free memory."""
        states = self.states()
        found = Plan()
        machine = found.machines.add()
        machine.CopyFrom(self.planned)
        for host in machine.hosts:
            kept = [
                agent
                for agent in host.agents
                if agent.name not in without and states.get(agent.name, _GONE[0]) not in _GONE
            ]
            del host.agents[:]
            host.agents.extend(kept)
        return found

    def used_mib(self) -> int:
        """What all its hosts hold at this moment."""
        return sum(held_bytes(host.pid) for host in self.machine.hosts) // _MIB

    def budget_mib(self) -> int:
        """What the pools hold together; 0 where there is no plan."""
        return sum(pool.memory_mib for pool in self.planned.pools)

    def usage(self) -> Iterator[pb.HostUsage]:
        """In the order of their start."""
        planned = {host.name: host for host in self.planned.hosts}
        states = self.states()
        for host in self.machine.hosts:
            wanted = planned.get(host.host, PlannedHost())
            yield pb.HostUsage(
                host=host.host,
                pid=host.pid,
                memory_bytes=held_bytes(host.pid),
                cpu=host.cpu,
                planned_mib=wanted.memory_mib,
                agents=[
                    pb.AgentUsage(
                        agent=one.name,
                        pool=one.pool,
                        planned_mib=one.memory_mib,
                        priority=one.priority,
                        is_suspended=states.get(one.name) == control.AGENT_STATE_SUSPENDED,
                    )
                    for one in wanted.agents
                ],
            )


def held_bytes(pid: int) -> int:
    """Memory of a process, pages that it shares included; 0 where there is none."""
    if not pid:
        return 0
    try:
        resident = (_PROC / str(pid) / "statm").read_text().split()[1]
    except OSError:
        return 0
    return int(resident) * os.sysconf("SC_PAGE_SIZE")
