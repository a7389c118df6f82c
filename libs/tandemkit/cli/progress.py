"""How a fleet comes up and goes down, told while it does: bars on a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TextIO

from tandem.control.v1 import machine_pb2 as pb

_BAR_CHARACTERS = 24
_STATES = {
    pb.HOST_STATE_WAITING: "waits",
    pb.HOST_STATE_STARTING: "starts",
    pb.HOST_STATE_SERVING: "serves",
    pb.HOST_STATE_DEGRADED: "serves in part",
    pb.HOST_STATE_BUSY: "is busy",
    pb.HOST_STATE_FAILED: "failed",
    pb.HOST_STATE_DRAINING: "drains",
    pb.HOST_STATE_STOPPED: "stopped",
    pb.HOST_STATE_SUSPENDED: "is suspended",
}


class Lines:
    """One for each host whenever its state changed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._said: dict[str, pb.HostState.ValueType] = {}

    def show(self, machine: pb.Machine) -> None:
        for host in machine.hosts:
            if self._said.get(host.host, pb.HOST_STATE_WAITING) != host.state:
                self._stream.write(f"tandem: {worded(host)}\n")
            self._said[host.host] = host.state
        self._stream.flush()

    def end(self) -> None:
        """Nothing is left open."""


class Bars:
    """One for each layer, drawn anew in their place."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn = 0

    def show(self, machine: pb.Machine) -> None:
        rows = list(bars(machine))
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        # Each line is cleared behind its text, for what stood there may have been longer.
        self._stream.write(up + "".join(f"\r{row}\x1b[K\n" for row in rows) + "\x1b[J")
        self._stream.flush()
        self._drawn = len(rows)

    def end(self) -> None:
        """What was drawn stays, and what comes next stands below."""
        self._drawn = 0


def bars(machine: pb.Machine) -> Iterator[str]:
    """Of each layer's agents, how many serve; of a fleet that ends, how many are gone."""
    layers: dict[int, list[pb.AgentStanding]] = {}
    hosts: dict[int, list[pb.HostStanding]] = {}
    for host in machine.hosts:
        hosts.setdefault(host.layer, []).append(host)
        for agent in host.agents:
            layers.setdefault(agent.layer, []).append(agent)
    counted = _gone if machine.ending else _serves
    for number, agents in sorted(layers.items()):
        done = sum(counted(agent.state) for agent in agents)
        filled = _BAR_CHARACTERS * done // len(agents)
        bar = "#" * filled + "." * (_BAR_CHARACTERS - filled)
        names = " ".join(f"{host.host}" for host in hosts.get(number, ()))
        yield f"layer {number}  [{bar}] {done}/{len(agents)} agents  {names}".rstrip()
    for host in machine.hosts:
        if host.state == pb.HOST_STATE_FAILED:
            yield f"  {worded(host)}"


def progress(stream: TextIO) -> Lines | Bars:
    """What suits the stream."""
    return Bars(stream) if stream.isatty() else Lines(stream)


def worded(host: pb.HostStanding) -> str:
    """How a host is, as a sentence without its end."""
    state = _STATES.get(host.state, "is there")
    return f"{host.host} {state}" + (f": {host.cause}" if host.cause else "")


def _serves(state: pb.AgentState.ValueType) -> bool:
    return state == pb.AGENT_STATE_SERVING


def _gone(state: pb.AgentState.ValueType) -> bool:
    return state in (pb.AGENT_STATE_STOPPED, pb.AGENT_STATE_NOT_SERVING)


Show = Callable[[pb.Machine], None]
