"""The pools' file, which stands in for a plan until a machine supervisor tells of one."""

from __future__ import annotations

from pathlib import Path

from services.platform.resource.capacity import MILLI, Capacity, unplanned
from tandem.platform.config.v1.resource_pb2 import ResourceSettings
from tandemkit.core.environment import Environment
from tandemkit.core.errors import Failure
from tandemkit.telemetry import machine
from tandemkit.written.marked import Reader
from tandemkit.written.pools import pools_of

_FILE = "deploy/fleet/layout/pools.yaml"
_MIB = 1024 * 1024


class PoolsRefused(Failure):
    """The pools cannot be used, so nothing can be granted; the message says where they are
    wrong.
    """


def standing_in(settings: ResourceSettings) -> Capacity:
    """As much of the pools as the machine has memory for, unless the settings say. Raises
    PoolsRefused with every mistake of the file.
    """
    root = Environment.read().root
    if not settings.pools_file and root is None:
        raise PoolsRefused("a packaged agent has no checkout: set `pools_file` in its settings")
    path = Path(settings.pools_file) if settings.pools_file or root is None else root / _FILE
    reader = Reader(str(path))
    try:
        pools = pools_of(reader, path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PoolsRefused("the pools cannot be read", path=path) from error
    if reader.mistakes:
        raise PoolsRefused("the pools are wrong", mistakes="; ".join(map(str, reader.mistakes)))
    memory_mib = machine.memory().limit_bytes // _MIB
    by_kind = {kind: entry.fields for kind, entry in pools.items()}
    cores_milli = round(machine.cores().usable * MILLI)
    return unplanned(by_kind, settings.memory_scale, memory_mib, cores_milli)
