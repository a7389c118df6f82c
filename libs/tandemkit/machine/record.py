"""What stays written of a host that runs, for the supervisor that takes it over."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from tandemkit.machine.home import write_at_once
from tandemkit.supervise.marks import Mark


@dataclass(frozen=True, slots=True)
class Record:
    """One process of one host. `digest` is that of the order which it was started with."""

    mark: Mark
    digest: str
    starts: int
    started_at: datetime
    layer: int

    def write(self, path: Path) -> None:
        said = {**asdict(self), "mark": str(self.mark), "started_at": self.started_at.isoformat()}
        write_at_once(path, json.dumps(said).encode())

    @classmethod
    def read(cls, path: Path) -> Record | None:
        """None where there is none, or what stands there is not ours to read: half of one, or that
        of another version.
        """
        try:
            said = json.loads(path.read_text())
            mark = Mark.parsed(said["mark"])
            started_at = datetime.fromisoformat(said["started_at"])
            starts, layer = int(said["starts"]), int(said["layer"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return cls(mark, str(said["digest"]), starts, started_at, layer) if mark else None


def record_path(folder: Path, host: str) -> Path:
    """Below the home's `hosts`."""
    return folder / f"{host}.json"


def records(folder: Path) -> dict[str, Record]:
    """All that can be read, by host."""
    read = {path.stem: Record.read(path) for path in sorted(folder.glob("*.json"))}
    return {name: one for name, one in read.items() if one is not None}
