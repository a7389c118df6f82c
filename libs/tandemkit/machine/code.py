"""Which code hosts run, as digests: one whose code is what it was need not be started anew."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

from tandemkit.machine.loading import folder_or_file
from tandemkit.supervise import keeper


class Code:
    """Of this process's checkout, as its files are whenever it is asked. `root` says the version of
    it, and `stubs` is a folder whose name changes with every contract.
    """

    def __init__(self, root: Path | None, stubs: Path | None) -> None:
        self._kit = Path(keeper.__file__).parents[1]
        self._stubs = str(stubs)
        project = root / "pyproject.toml" if root else None
        number = ""
        if project is not None and project.exists():
            number = str(tomllib.loads(project.read_text("utf-8"))["project"]["version"])
        self.version = f"{number}+{self._of_kit()[:8]}"

    def of(self, services: Iterable[str]) -> str:
        """Of the kit and these agents: another agent's change leaves a host alone."""
        parts = [self._of_kit().encode()]
        for service in sorted(services):
            place = folder_or_file(service)
            if place is not None:
                files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
                parts += _contents(files)
        return digest_of(parts)

    def _of_kit(self) -> str:
        return digest_of([self._stubs.encode(), *_contents(sorted(self._kit.rglob("*.py")))])


def digest_of(parts: Sequence[bytes]) -> str:
    # Lengths keep ("ab", "c") and ("a", "bc") apart.
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()[:16]


def _contents(files: Iterable[Path]) -> list[bytes]:
    return [part for path in files for part in (str(path).encode(), path.read_bytes())]
