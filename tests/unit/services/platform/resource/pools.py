"""Pools of a small machine, and requests about them."""

from __future__ import annotations

from pathlib import Path

from tandem.fleet.v1 import resources_pb2 as fleet
from tandem.platform.config.v1 import resource_pb2 as cfg
from tandem.platform.v1 import resource_pb2 as nouns
from tandem.platform.v1 import resource_service_pb2 as pb

_POOLS = """\
pools:
  - {pool: infrastructure, memory_mib: 120}
  - {pool: critical, memory_mib: 80}
  - {pool: standard, memory_mib: 60}
  - {pool: monitoring, memory_mib: 20}
  - {pool: emergency_reserve, memory_mib: 14}
"""


def written(folder: Path, text: str = _POOLS) -> cfg.ResourceSettings:
    """Settings with these pools, at scale 1."""
    path = folder / "pools.yaml"
    path.write_text(text, "utf-8")
    return cfg.ResourceSettings(pools_file=str(path), memory_scale=1)


def amounts(
    memory_mib: int = 0,
    pool: fleet.MemoryPool.ValueType = fleet.MEMORY_POOL_STANDARD,
    *,
    cores: float = 0,
    gpu_percent: int = 0,
) -> nouns.ResourceAmounts:
    """Of the standard pool, unless another is named."""
    return nouns.ResourceAmounts(
        memory_mib=memory_mib, pool=pool, cores=cores, gpu_percent=gpu_percent
    )


def ask(
    holder: str,
    wanted: nouns.ResourceAmounts,
    use: str = "model",
    *,
    term_s: int = 0,
    emergency: str = "",
) -> pb.AcquireGrantRequest:
    """0: the default term."""
    request = pb.AcquireGrantRequest(holder=holder, use=use, amounts=wanted, emergency=emergency)
    if term_s:
        request.term.seconds = term_s
    return request
