"""How numpy computes in this process: in one thread, for the fleet has others to serve, and with
the widest registers of the CPU.
"""

from __future__ import annotations

from pathlib import Path

from tandemkit.core.environment import prefer_for_libraries

_CPUS = Path("/proc/cpuinfo")
# The first CPU's entry is shorter than that.
_ENTRY_BYTES_MAX = 8192
# What OpenBLAS's kernels of that name use.
_WIDE, _WIDE_FLAGS = "SKYLAKEX", {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}


def prefer_kernels(cpus: Path = _CPUS) -> None:
    """OpenBLAS reads it when numpy is imported: before that, and before any thread begins. It does
    not know AMD's CPUs of family 26, and would compute half as fast as they can.
    """
    prefer_for_libraries("OPENBLAS_NUM_THREADS", "1")
    if has_wide_registers_unknown(cpus):
        prefer_for_libraries("OPENBLAS_CORETYPE", _WIDE)


def has_wide_registers_unknown(cpus: Path = _CPUS) -> bool:
    """Whether it is a CPU of AMD's with AVX-512; Intel's are known."""
    try:
        with cpus.open(encoding="ascii", errors="replace") as entries:
            entry = entries.read(_ENTRY_BYTES_MAX)
    except OSError:
        return False
    first, _, _ = entry.partition("\n\n")
    fields = dict(line.split(":", 1) for line in first.splitlines() if ":" in line)
    said = {name.strip(): value.split() for name, value in fields.items()}
    return said.get("vendor_id") == ["AuthenticAMD"] and set(said.get("flags", ())) >= _WIDE_FLAGS
