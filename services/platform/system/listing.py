"""What supervisors say of their machines, in the words of this agent's contract."""

from __future__ import annotations

from collections.abc import Iterable

from services.platform.system.machines import Seen
from tandem.control.v1 import machine_pb2 as control
from tandem.platform.v1 import system_service_pb2 as pb


def machine_of(found: Seen) -> pb.SystemMachine:
    """The machine with its hosts; one that did not answer stays as it is."""
    if isinstance(found, pb.SystemMachine):
        return found
    return pb.SystemMachine(name=found.name, answered=True, hosts=map(_host, found.hosts))


def agents_of(found: Iterable[Seen]) -> dict[str, pb.SystemAgent]:
    """All agents, by `machine/host/name`."""
    return {
        f"{machine.name}/{host.host}/{agent.name}": pb.SystemAgent(
            machine=machine.name,
            host=host.host,
            name=agent.name,
            service=agent.service,
            state=_state(control.AgentState.Name(agent.state), "AGENT_STATE_"),
            cause=agent.cause,
            restarts=agent.restarts,
        )
        for machine in found
        if isinstance(machine, control.Machine)
        for host in machine.hosts
        for agent in host.agents
    }


def _host(host: control.HostStanding) -> pb.SystemHost:
    return pb.SystemHost(
        name=host.host,
        groups=host.groups,
        state=_state(control.HostState.Name(host.state), "HOST_STATE_"),
        cause=host.cause,
        starts=host.starts,
        memory_bytes=host.memory_bytes,
    )


def _state(name: str, prefix: str) -> pb.RunState.ValueType:
    """Both families call a state the same, and a test holds them to it."""
    return pb.RunState.Value(f"RUN_STATE_{name.removeprefix(prefix)}")
