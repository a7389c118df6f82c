"""Control groups of the kernel, version 2 or 1, where this user may make some below its own."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_OWN = Path("/proc/self/cgroup")
_PERIOD_US = 100_000
_V2, _V1 = "cgroup v2", "cgroup v1"
_PREFIX = "tandem-"


@dataclass(frozen=True, slots=True)
class Cgroup:
    """Folders of one group by controller: the same one for all in version 2."""

    kind: str
    folders: dict[str, Path]

    def limit_memory(self, most_bytes: int) -> bool:
        """Whether the kernel ends a process of it that takes more."""
        if self.kind == _V2:
            # Else it would only be slow, for as long as there is swap.
            _wrote(self._file("memory", "memory.swap.max"), "0")
            return _wrote(self._file("memory", "memory.max"), str(most_bytes))
        limit = _wrote(self._file("memory", "memory.limit_in_bytes"), str(most_bytes))
        _wrote(self._file("memory", "memory.memsw.limit_in_bytes"), str(most_bytes))
        return limit

    def limit_cpus(self, cpus: float) -> bool:
        """Whether its processes together get no more."""
        quota_us = int(cpus * _PERIOD_US)
        if self.kind == _V2:
            return _wrote(self._file("cpu", "cpu.max"), f"{quota_us} {_PERIOD_US}")
        period = _wrote(self._file("cpu", "cpu.cfs_period_us"), str(_PERIOD_US))
        return period and _wrote(self._file("cpu", "cpu.cfs_quota_us"), str(quota_us))

    def enter(self) -> None:
        """With this process, and those that it starts. What cannot be entered holds nobody."""
        for folder in set(self.folders.values()):
            _wrote(folder / "cgroup.procs", str(os.getpid()))

    def kills(self) -> int:
        """How many processes of it were ended for want of memory so far."""
        name = "memory.events" if self.kind == _V2 else "memory.oom_control"
        found = self._file("memory", name)
        try:
            lines = found.read_text().splitlines() if found else []
        except OSError:
            return 0
        return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def remove(self) -> None:
        """Where nobody is in it any more."""
        for folder in set(self.folders.values()):
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _file(self, controller: str, name: str) -> Path | None:
        folder = self.folders.get(controller)
        return folder / name if folder else None


class Cgroups:
    """Below the group that this process is in, at the place where they are mounted."""

    def __init__(self, root: Path, own: Path = _OWN) -> None:
        self._root, self._own = root, own

    def made(self, name: str) -> Cgroup | None:
        """A group for `name`, new or as an earlier process left it; None where none may be made."""
        found = self.of(name)
        if found is None:
            return None
        for folder in set(found.folders.values()):
            try:
                folder.mkdir(exist_ok=True)
            except OSError:
                return None
        if found.kind == _V2:
            parent = next(iter(found.folders.values())).parent
            # Refused where the parent holds processes itself: then it has no files to write to.
            _wrote(parent / "cgroup.subtree_control", "+memory +cpu")
        return found

    def of(self, name: str) -> Cgroup | None:
        """The group of another process of ours, there or not: for who wants to know how that ended.
        None where there are no groups at all.
        """
        child = _PREFIX + name
        v2, v1 = "", dict[str, str]()
        try:
            lines = self._own.read_text().splitlines()
        except OSError:
            return None
        for line in lines:
            _number, controllers, path = line.split(":", 2)
            if not controllers:
                v2 = path
            v1 |= dict.fromkeys(controllers.split(","), path)
        if (self._root / "cgroup.controllers").is_file():
            folder = self._below(self._root, v2) / child
            return Cgroup(_V2, {"memory": folder, "cpu": folder})
        mounts: dict[str, Path] = {one: self._root / one for one in ("memory", "cpu") if one in v1}
        folders = {one: self._below(mount, v1[one]) / child for one, mount in mounts.items()}
        usable = {one: folder for one, folder in folders.items() if folder.parent.is_dir()}
        return Cgroup(_V1, usable) if usable else None

    @staticmethod
    def _below(mount: Path, path: str) -> Path:
        return mount / path.lstrip("/")


def _wrote(path: Path | None, text: str) -> bool:
    """The kernel makes the files: one that is not there is a controller that is not either."""
    if path is None or not path.is_file():
        return False
    try:
        path.write_text(text)
    except OSError:
        return False
    return True
