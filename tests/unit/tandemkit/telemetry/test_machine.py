from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tandemkit.telemetry import machine

_MEMINFO = "MemTotal:       8000 kB\nMemFree:        1000 kB\nMemAvailable:   6000 kB\n"
_PRESSURE = "some avg10=12.50 avg60=1.00 avg300=0.10 total=9\nfull avg10=3.00 avg60=0.00\n"
_V1 = "4:memory:/box\n1:cpu,cpuacct:/box\n0::/\n"
_V1_FOLDER = "sys/fs/cgroup/memory/box"


def planted(root: Path, files: Mapping[str, str]) -> Path:
    for path, text in {"proc/meminfo": _MEMINFO, **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")
    return root


def test_a_machine_without_cgroups_has_what_the_kernel_says(tmp_path: Path) -> None:
    """Where there is no account of pressure, none is made up."""
    found = machine.memory(planted(tmp_path, {}))
    assert found == machine.Memory(8000 * 1024, 6000 * 1024, "machine", None)


def test_the_kernels_account_of_pressure_is_told(tmp_path: Path) -> None:
    """The share of ten seconds in which some task waited for memory."""
    found = machine.memory(planted(tmp_path, {"proc/pressure/memory": _PRESSURE}))
    assert found.stalled_percent == 12.5


def test_a_container_has_what_its_cgroup_leaves_it(tmp_path: Path) -> None:
    """Of version 2, with the pressure inside of it; what files only cache counts as left."""
    files = {
        "proc/self/cgroup": "0::/box\n",
        "sys/fs/cgroup/box/memory.max": "1000000\n",
        "sys/fs/cgroup/box/memory.current": "900000\n",
        "sys/fs/cgroup/box/memory.stat": "anon 1\ninactive_file 300000\n",
        "sys/fs/cgroup/box/memory.pressure": _PRESSURE,
    }
    found = machine.memory(planted(tmp_path, files))
    assert found == machine.Memory(1_000_000, 400_000, "cgroup v2", 12.5)


def test_version_1_limits_too(tmp_path: Path) -> None:
    """With the children's share of the cache, as that version counts it."""
    files = {
        "proc/self/cgroup": _V1,
        f"{_V1_FOLDER}/memory.limit_in_bytes": "1000000",
        f"{_V1_FOLDER}/memory.usage_in_bytes": "500000",
        f"{_V1_FOLDER}/memory.stat": "inactive_file 1\ntotal_inactive_file 100000\n",
    }
    found = machine.memory(planted(tmp_path, files))
    assert found == machine.Memory(1_000_000, 600_000, "cgroup v1", None)


@pytest.mark.parametrize("limit", ["max", "9223372036854771712"])
def test_a_cgroup_without_a_limit_is_none(tmp_path: Path, limit: str) -> None:
    """Version 2 says `max`, version 1 a number that no machine has."""
    files = {
        "proc/self/cgroup": "4:memory:/box\n0::/box\n",
        f"{_V1_FOLDER}/memory.limit_in_bytes": limit,
        f"{_V1_FOLDER}/memory.usage_in_bytes": "5",
        f"{_V1_FOLDER}/memory.stat": "",
        "sys/fs/cgroup/box/memory.max": limit,
        "sys/fs/cgroup/box/memory.current": "5",
        "sys/fs/cgroup/box/memory.stat": "",
    }
    assert machine.memory(planted(tmp_path, files)).bound == "machine"


def test_a_limit_around_ours_counts(tmp_path: Path) -> None:
    """The tightest of all: a pod's cgroup may have none, and its parent one."""
    files = {
        "proc/self/cgroup": "0::/pod/box\n",
        "sys/fs/cgroup/pod/box/memory.max": "max\n",
        "sys/fs/cgroup/pod/box/memory.current": "100\n",
        "sys/fs/cgroup/pod/memory.max": "2000\n",
        "sys/fs/cgroup/pod/memory.current": "500\n",
        "sys/fs/cgroup/pod/memory.stat": "inactive_file 0\n",
    }
    assert machine.memory(planted(tmp_path, files)).available_bytes == 1500


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"proc/self/cgroup": "0::/box\n", "sys/fs/cgroup/box/cpu.max": "50000 100000\n"}, 0.5),
        (
            {
                "proc/self/cgroup": _V1,
                "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "25000",
                "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000",
            },
            0.25,
        ),
    ],
)
def test_a_quota_of_cores_is_told(tmp_path: Path, files: dict[str, str], cores: float) -> None:
    """Of either version."""
    assert machine.cores(planted(tmp_path, files)).usable == cores


def test_no_quota_is_every_core(tmp_path: Path) -> None:
    """`max`, or -1."""
    files = {
        "proc/self/cgroup": f"{_V1}0::/box\n",
        "sys/fs/cgroup/box/cpu.max": "max 100000\n",
        "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "-1",
        "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000",
    }
    assert machine.cores(planted(tmp_path, files)).usable >= 1


def test_a_system_without_accounts_says_so(tmp_path: Path) -> None:
    """Rather than that there is no memory."""
    with pytest.raises(machine.NoAccounts):
        machine.memory(tmp_path)


def test_this_machine_can_be_read() -> None:
    """Whatever it is."""
    found = machine.memory()
    assert 0 < found.available_bytes <= found.limit_bytes
    assert machine.cores().usable > 0
