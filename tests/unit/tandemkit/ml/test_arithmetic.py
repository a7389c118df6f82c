"""Which CPUs OpenBLAS has to be told of."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandemkit.ml.arithmetic import has_wide_registers_unknown

WIDE = "avx2 avx512f avx512cd avx512bw avx512dq avx512vl"


@pytest.mark.parametrize(
    ("vendor", "flags", "expected"),
    [
        ("AuthenticAMD", f"fpu {WIDE} bmi2", True),
        ("AuthenticAMD", "fpu avx2 bmi2", False),
        ("AuthenticAMD", "fpu avx2 avx512f", False),
        ("GenuineIntel", f"fpu {WIDE}", False),
    ],
)
def test_amds_cpus_with_wide_registers_are(
    tmp_path: Path, vendor: str, flags: str, *, expected: bool
) -> None:
    """Intel's are known, and without all that the kernels use they would end the process."""
    cpus = tmp_path / "cpuinfo"
    entry = f"processor\t: 0\nvendor_id\t: {vendor}\nflags\t\t: {flags}\n\n"
    cpus.write_text(entry + entry.replace("AuthenticAMD", "other"))
    assert has_wide_registers_unknown(cpus) is expected
    assert not has_wide_registers_unknown(tmp_path / "none")
