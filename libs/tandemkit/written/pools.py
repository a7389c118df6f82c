"""deploy/fleet/layout/pools.yaml, checked: the memory pools of a machine, each once."""

from __future__ import annotations

from tandem.fleet.v1.profile_pb2 import Pool, Pools
from tandem.fleet.v1.resources_pb2 import MEMORY_POOL_EMERGENCY_RESERVE, MemoryPool
from tandemkit.written.marked import Entry, Reader, read


def pool_name(pool: int) -> str:
    """As files write it."""
    return MemoryPool.Name(MemoryPool.ValueType(pool)).removeprefix("MEMORY_POOL_").lower()


RESERVE = pool_name(MEMORY_POOL_EMERGENCY_RESERVE)


def scaled(pool: Pool, scale: float) -> int:
    """The pool's size in MiB, rounded down."""
    return int(pool.memory_mib * scale + 1e-9)


def pools_of(reader: Reader, text: str) -> dict[int, Entry[Pool]]:
    """By their kinds; what is wrong with the file stands in the reader."""
    file = read(reader, Pools(), text)
    found: dict[int, Entry[Pool]] = {}
    for index, one in enumerate(file.fields.pools):
        entry = Entry(one, file.places, f"pools[{index}]")
        if one.pool in found:
            reader.mistakes.append(entry.mistake("pool", "this pool stands here twice"))
        found[one.pool] = entry
    return found
