"""How the machines are, as a person reads it: one line for each host and each agent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tandem.control.v1 import machine_pb2 as nouns
from tandemkit.cli.columns import Column, cut, fitted
from tandemkit.cli.fleet_view import View
from tandemkit.cli.harmless import one_line
from tandemkit.cli.moments import rough
from tandemkit.cli.status_value import (
    SERVING,
    cpu_s,
    is_serving,
    state_of_agent,
    state_of_host,
    uptime_s,
)

_COLUMNS = (
    Column("HOST, AGENT"),
    Column("STATE"),
    Column("GRPC", 4, is_number=True),
    Column("HTTP", 7, is_number=True),
    Column("PID", 3, is_number=True),
    Column("RESTARTS", 2, is_number=True),
    Column("UP", 6, is_number=True),
    Column("MEMORY", 5, is_number=True),
    Column("CPU", 8, is_number=True),
    Column("CAUSE", 1),
)
_STATE = 1
_MIB = 2**20
# Lines of a terminal that has room to say that there is more.
_WITH_REST = 4
_GREEN, _RED, _YELLOW, _PLAIN = "\033[32m", "\033[31m", "\033[33m", "\033[0m"
_BAD = frozenset({"FAILED", "NOT_SERVING"})
_ABSENT = "ABSENT"


@dataclass(frozen=True, slots=True)
class Look:
    """What the text is for: `width` and `height` of the terminal, None where there is none.

    `shares` are the CPU shares of hosts since the last look, by machine and host; without one it
    is the average since the host's start.
    """

    now: datetime
    width: int | None = None
    height: int | None = None
    is_coloured: bool = False
    shares: Mapping[tuple[str, str], float] = field(default_factory=dict)


def status_lines(views: Sequence[View], remark: str, look: Look) -> list[str]:
    """All machines; where the terminal is too low, agents that serve are only counted."""
    lines = _lines(views, remark, look, counted=False)
    if look.height is None or len(lines) <= look.height:
        return lines
    lines = _lines(views, remark, look, counted=True)
    if len(lines) <= look.height:
        return lines
    if look.height < _WITH_REST:
        return lines[: look.height]
    return [*lines[: look.height - 1], _cut(f"… {len(lines) - look.height + 1} more", look)]


def _lines(views: Sequence[View], remark: str, look: Look, *, counted: bool) -> list[str]:
    said: list[str] = []
    for view in views:
        said += ["", _headline(view, look)] if said else [_headline(view, look)]
        rows = [*_rows(view.machine, look, counted=counted), *_part_rows(view.machine)]
        rows += _absent_rows(view.machine)
        said += [_line(cells, look) for cells in fitted(_COLUMNS, rows, look.width)]
    return [*said, "", _cut(remark, look)] if remark else said


def _headline(view: View, look: Look) -> str:
    machine = view.machine
    said = [f"profile {machine.profile}"] if machine.profile else []
    if (up_s := uptime_s(machine, look.now)) is not None:
        said.append(f"up {rough(up_s)}")
    if machine.registry:
        said.append(f"registry {machine.registry}")
    if machine.pid:
        said.append(f"supervisor {machine.pid}")
    if not machine.settled:
        said.append(f"layer {machine.layer} of {machine.layers}" if machine.layers else "changing")
    if view.told_by != "supervisor":
        said.append("its supervisor does not answer; told by control")
    state = SERVING if is_serving(machine) else "NOT ALL SERVING"
    head = _cut(one_line(f"{machine.name}  {state}  {', '.join(said)}"), look)
    return head.replace(state, _coloured(state, look), 1)


def _rows(machine: nouns.Machine, look: Look, *, counted: bool) -> Iterator[tuple[str, ...]]:
    for host in machine.hosts:
        up_s = uptime_s(host, look.now)
        yield (
            host.host,
            state_of_host(host.state),
            host.address.rpartition(":")[2],
            host.http_address.rpartition(":")[2],
            str(host.pid or ""),
            str(max(0, host.starts - 1) or ""),
            "" if up_s is None else rough(up_s),
            f"{host.memory_bytes / _MIB:.0f} MiB" if host.memory_bytes else "",
            _share(machine.name, host, look),
            host.cause,
        )
        well = [one for one in host.agents if one.state == nouns.AGENT_STATE_SERVING]
        for agent in host.agents:
            if not counted or agent not in well:
                state = state_of_agent(agent.state)
                restarts = str(agent.restarts or "")
                yield (f"  {agent.name}", state, "", "", "", restarts, "", "", "", agent.cause)
        if counted and well:
            agents = f"  {len(well)} agent{'s' if len(well) > 1 else ''}"
            yield (agents, SERVING, *([""] * (len(_COLUMNS) - 2)))


def _part_rows(machine: nouns.Machine) -> Iterator[tuple[str, ...]]:
    for part in machine.parts:
        port = part.address.rpartition(":")[2]
        pid = str(part.pid or "")
        state = state_of_host(part.state)
        yield (part.name, state, port, "", pid, "", "", "", "", part.cause)


def _absent_rows(machine: nouns.Machine) -> Iterator[tuple[str, ...]]:
    for one in machine.absent:
        yield (one.name, _ABSENT, *([""] * (len(_COLUMNS) - 3)), one.why)


def _share(machine: str, host: nouns.HostStanding, look: Look) -> str:
    share = look.shares.get((machine, host.host))
    if share is None:
        up_s = uptime_s(host, look.now)
        share = cpu_s(host) / up_s if up_s else None
    return "" if share is None else f"{100 * share:.1f}%"


def _line(cells: Sequence[str], look: Look) -> str:
    """Cut at the edge before it is coloured, for colours have no width."""
    plain = _cut("  ".join(cells).rstrip(), look)
    state = cells[_STATE].strip()
    at = len(cells[0]) + 2
    if not look.is_coloured or not state or plain[at : at + len(state)] != state:
        return plain
    return f"{plain[:at]}{_coloured(state, look)}{plain[at + len(state) :]}"


def _coloured(state: str, look: Look) -> str:
    if not look.is_coloured or state == "STATE":
        return state
    colour = _GREEN if state == SERVING else _RED if state in _BAD else _YELLOW
    return f"{colour}{state}{_PLAIN}"


def _cut(text: str, look: Look) -> str:
    return text if look.width is None else cut(text, look.width)
