"""The pools of the settings: which hosts each has, and which agents it takes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tandem.control.v1 import registration_pb2 as control
from tandem.fleet.v1.runtime_pb2 import RUNTIME_PYTHON
from tandem.platform.config.v1 import agent_pool_pb2 as cfg
from tandemkit.core.errors import Failure

_SLOT_MEMORY_MIB = 8


class PoolsContradict(Failure):
    """Two pools of the settings have something in common."""


class Pool:
    """One pool."""

    def __init__(self, settings: cfg.AgentPool) -> None:
        self.name, self.runtime = settings.name, settings.runtime or RUNTIME_PYTHON
        self.slots_per_host = settings.slots_per_host
        self.slot_memory_mib = settings.slot_memory_mib or _SLOT_MEMORY_MIB
        self._patterns = tuple(settings.agents)
        self._hosts = re.compile(rf"{re.escape(settings.group)}(-[0-9]+)?")

    def has(self, host: control.Host) -> bool:
        """Whether the host is one of it: processes of a group are numbered from the second on."""
        return self._hosts.fullmatch(host.group) is not None

    def weight(self, short: str) -> tuple[bool, int] | None:
        """How closely it names the agent; None where it does not take it."""
        fitting = [
            (not one.endswith("*"), len(one))
            for one in self._patterns
            if (short.startswith(one[:-1]) if one.endswith("*") else short == one)
        ]
        return max(fitting, default=None)


class Pools:
    """All of them. Raises PoolsContradict where two have one name."""

    def __init__(self, settings: Sequence[cfg.AgentPool]) -> None:
        self.all = tuple(map(Pool, settings))
        self.by_name = {one.name: one for one in self.all}
        if len(self.by_name) < len(self.all):
            raise PoolsContradict("two pools of the settings have one name")

    def of_agent(self, short: str) -> Pool | None:
        """The one that names it most closely; of those, the first."""
        weighed = [(weight, one) for one in self.all if (weight := one.weight(short))]
        return max(weighed, key=lambda pair: pair[0])[1] if weighed else None

    def of_host(self, host: control.Host) -> Pool | None:
        return next((one for one in self.all if one.has(host)), None)
