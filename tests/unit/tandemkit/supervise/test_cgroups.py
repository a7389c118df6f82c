"""Groups of the kernel, as their files say: planted ones, for real ones belong to whoever runs the
tests.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tandemkit.supervise.cgroups import Cgroups
from tandemkit.supervise.confinement import cgroups_at, group_name

_V2 = ("memory.max", "memory.swap.max", "cpu.max", "cgroup.procs")
_V1 = {
    "memory": ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "cgroup.procs"),
    "cpu": ("cpu.cfs_period_us", "cpu.cfs_quota_us", "cgroup.procs"),
}


def plant(folder: Path, names: tuple[str, ...]) -> Path:
    """The kernel makes a group's files with the group."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("")
    return folder


def cgroups(root: Path, own: str) -> Cgroups:
    (root / "own").write_text(own)
    return Cgroups(root, root / "own")


def test_version_2_limits_memory_without_swap_and_cpu_time(tmp_path: Path) -> None:
    """Below our own group, in one folder for all."""
    (tmp_path / "cgroup.controllers").write_text("cpu memory")
    folder = plant(tmp_path / "user/app/tandem-agents", _V2)
    group = cgroups(tmp_path, "0::/user/app\n").made("agents")
    assert group is not None
    assert group.limit_memory(1 << 20)
    assert group.limit_cpus(1.5)
    group.enter()
    found = {name: (folder / name).read_text() for name in _V2}
    assert found == {
        "memory.max": "1048576",
        "memory.swap.max": "0",
        "cpu.max": "150000 100000",
        "cgroup.procs": str(os.getpid()),
    }


def test_version_1_has_a_folder_for_each_controller(tmp_path: Path) -> None:
    """Each below the own one of its kind; swap counts too."""
    memory = plant(tmp_path / "memory/a/tandem-agents", _V1["memory"])
    cpu = plant(tmp_path / "cpu/b/tandem-agents", _V1["cpu"])
    group = cgroups(tmp_path, "4:memory:/a\n2:cpu,cpuacct:/b\n0::/\n").made("agents")
    assert group is not None
    assert group.limit_memory(2 << 20)
    assert group.limit_cpus(0.5)
    group.enter()
    assert (memory / "memory.limit_in_bytes").read_text() == str(2 << 20)
    assert (memory / "memory.memsw.limit_in_bytes").read_text() == str(2 << 20)
    assert (cpu / "cpu.cfs_quota_us").read_text() == "50000"
    assert {(one / "cgroup.procs").read_text() for one in (memory, cpu)} == {str(os.getpid())}


def test_a_group_without_the_files_holds_nothing(tmp_path: Path) -> None:
    """Whoever asks takes other means, instead of a limit that is none."""
    (tmp_path / "cgroup.controllers").write_text("")
    (tmp_path / "user").mkdir()
    group = cgroups(tmp_path, "0::/user\n").made("agents")
    assert group is not None
    assert not group.limit_memory(1)
    assert not group.limit_cpus(1)
    group.remove()
    assert list((tmp_path / "user").iterdir()) == []


@pytest.mark.parametrize("own", ["", "0::/elsewhere\n", "4:memory:/elsewhere\n"])
def test_where_none_may_be_made_there_is_none(tmp_path: Path, own: str) -> None:
    """No cgroups, or none that can be seen from here, as in many containers."""
    (tmp_path / "memory").mkdir()
    assert cgroups(tmp_path, own).made("agents") is None


def test_who_was_ended_for_want_of_memory_is_counted(tmp_path: Path) -> None:
    """So that a bare SIGKILL has a cause."""
    (tmp_path / "cgroup.controllers").write_text("")
    folder = plant(tmp_path / "user/tandem-agents", _V2)
    (folder / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    of = cgroups(tmp_path, "0::/user\n").of
    kills = {name: group.kills() for name in ("agents", "others") if (group := of(name))}
    assert kills == {"agents": 2, "others": 0}


def test_two_fleets_have_groups_of_their_own(tmp_path: Path) -> None:
    """Their hosts are called alike."""
    assert group_name("big-text", tmp_path / "a") != group_name("big-text", tmp_path / "b")
    assert cgroups_at("") is None
    assert cgroups_at(str(tmp_path / "none")) is None
