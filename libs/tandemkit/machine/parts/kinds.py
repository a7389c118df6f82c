"""The servers that a machine can run for its fleet, by their names in the plan."""

from __future__ import annotations

from typing import Protocol

from tandem.fleet.v1.plan_pb2 import PlannedPart
from tandemkit.core.clock import Clock
from tandemkit.machine.home import Home
from tandemkit.machine.parts import consul, redis

CONSUL, REDIS = consul.NAME, redis.NAME


class PartWatch(Protocol):
    """How one is looked at."""

    async def until_it_answers(self) -> None:
        """Returns once it does what it is there for."""


def argv(part: PlannedPart, home: Home) -> tuple[str, ...]:
    """Its command line; the files that it reads are written first."""
    ports = ports_of(part)
    if part.name == CONSUL:
        return consul.argv(part.program, ports, home)
    return redis.argv(part.program, ports, home)


def watch(part: PlannedPart, home: Home, clock: Clock) -> PartWatch:
    """How it is looked at."""
    ports = ports_of(part)
    if part.name == CONSUL:
        return consul.ConsulWatch(ports, home, clock)
    return redis.RedisWatch(ports, clock)


def ports_of(part: PlannedPart) -> dict[str, int]:
    return {one.name: one.port for one in part.ports}
