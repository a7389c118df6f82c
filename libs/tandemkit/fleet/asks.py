"""What an agent asks of a machine, with the defaults that its stanza leaves to us."""

from __future__ import annotations

from typing import Any

from tandem.fleet.v1 import resources_pb2 as kinds
from tandem.fleet.v1.group_pb2 import HostGroup
from tandem.fleet.v1.runtime_pb2 import RUNTIME_PYTHON, RUNTIME_UNSPECIFIED, Runtime

# An agent without a model, and an interpreter with gRPC, as the schema promises.
_AGENT_MEMORY_MIB = 8
_HOST_MEMORY_MIB = 64
_PRIORITIES = {
    kinds.MEMORY_POOL_INFRASTRUCTURE: kinds.PRIORITY_ESSENTIAL,
    kinds.MEMORY_POOL_CRITICAL: kinds.PRIORITY_CRITICAL,
}


def agent_memory_mib(stanza: Any) -> int:
    """Of one instance on one host."""
    return int(stanza.memory_mib) or _AGENT_MEMORY_MIB


def host_memory_mib(group: HostGroup) -> int:
    """Of one process without its agents."""
    return group.memory_mib or _HOST_MEMORY_MIB


def runtime(group: HostGroup) -> Runtime.ValueType:
    """What its processes are written in, as plans say it."""
    return RUNTIME_UNSPECIFIED if group.runtime == RUNTIME_PYTHON else group.runtime


def language(runtime: Runtime.ValueType) -> str:
    """A runtime, as the files write it."""
    return Runtime.Name(runtime or RUNTIME_PYTHON).removeprefix("RUNTIME_").lower()


def pool(stanza: Any) -> kinds.MemoryPool.ValueType:
    """Where its memory comes from."""
    return kinds.MemoryPool.ValueType(stanza.pool or kinds.MEMORY_POOL_STANDARD)


def priority(stanza: Any) -> kinds.Priority.ValueType:
    """Its own; what needs it may raise it."""
    own = stanza.priority or _PRIORITIES.get(pool(stanza), kinds.PRIORITY_STANDARD)
    return kinds.Priority.ValueType(own)


def is_limited(stanza: Any) -> bool:
    """Whether it has a limit that only a process of its own can be held to."""
    return bool(stanza.cpus_max or stanza.memory_mib_max)
