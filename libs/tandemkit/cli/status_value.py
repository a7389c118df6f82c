"""How a machine is, as JSON: states by their short names, times as seconds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tandem.control.v1 import machine_pb2 as nouns
from tandemkit.cli.absent import absent_of
from tandemkit.cli.fleet_view import View

SERVING = "SERVING"
# What changes all the time, and is no change of how a machine is.
_USAGE = frozenset({"uptime_s", "memory_bytes", "cpu_s"})


def state_of_host(state: nouns.HostState.ValueType) -> str:
    return nouns.HostState.Name(state).removeprefix("HOST_STATE_")


def state_of_agent(state: nouns.AgentState.ValueType) -> str:
    return nouns.AgentState.Name(state).removeprefix("AGENT_STATE_")


def is_serving(machine: nouns.Machine) -> bool:
    """Whether all that it runs serves, and nothing is under way."""
    hosts = all(
        host.state == nouns.HOST_STATE_SERVING
        and all(agent.state == nouns.AGENT_STATE_SERVING for agent in host.agents)
        for host in machine.hosts
    )
    parts = all(part.state == nouns.HOST_STATE_SERVING for part in machine.parts)
    return bool(machine.hosts) and hosts and parts and machine.settled


def status_value(views: Sequence[View], remark: str, now: datetime) -> dict[str, Any]:
    """All of it, as one value."""
    return {
        "serving": all(is_serving(view.machine) for view in views),
        "machines": [_machine(view, now) for view in views],
        "remarks": [remark] if remark else [],
    }


def without_usage(value: Any) -> Any:
    """The same without what changes all the time: two that are equal tell of no change."""
    if isinstance(value, dict):
        return {key: without_usage(one) for key, one in value.items() if key not in _USAGE}
    return [without_usage(one) for one in value] if isinstance(value, list) else value


def uptime_s(told: Any, now: datetime) -> float | None:
    """Since `started_at` of a message; None where that is not said."""
    if not told.HasField("started_at"):
        return None
    started: datetime = told.started_at.ToDatetime(tzinfo=UTC)
    return max(0.0, (now - started).total_seconds())


def cpu_s(host: nouns.HostStanding) -> float:
    return host.cpu.seconds + host.cpu.nanos / 1e9


def _machine(view: View, now: datetime) -> dict[str, Any]:
    machine = view.machine
    return {
        "machine": machine.name,
        "here": view.is_here,
        "told_by": view.told_by,
        "serving": is_serving(machine),
        "profile": machine.profile,
        "generation": machine.generation,
        "settled": machine.settled,
        "layer": machine.layer,
        "layers": machine.layers,
        "version": machine.version,
        "registry": machine.registry,
        "controls": list(machine.controls),
        "pid": machine.pid,
        "uptime_s": uptime_s(machine, now),
        "hosts": [_host(host, now) for host in machine.hosts],
        "parts": [_part(part) for part in machine.parts],
        "absent": absent_of(machine.absent),
    }


def _host(host: nouns.HostStanding, now: datetime) -> dict[str, Any]:
    return {
        "host": host.host,
        "groups": list(host.groups),
        "state": state_of_host(host.state),
        "cause": host.cause,
        "pid": host.pid,
        "address": host.address,
        "http_address": host.http_address,
        "restarts": max(0, host.starts - 1),
        "uptime_s": uptime_s(host, now),
        "memory_bytes": host.memory_bytes,
        "cpu_s": cpu_s(host),
        "layer": host.layer,
        "pool": host.pool,
        "agents": [_agent(agent) for agent in host.agents],
    }


def _agent(agent: nouns.AgentStanding) -> dict[str, Any]:
    return {
        "agent": agent.name,
        "service": agent.service,
        "state": state_of_agent(agent.state),
        "cause": agent.cause,
        "restarts": agent.restarts,
    }


def _part(part: nouns.ServiceStanding) -> dict[str, Any]:
    return {
        "part": part.name,
        "state": state_of_host(part.state),
        "cause": part.cause,
        "pid": part.pid,
        "address": part.address,
    }
