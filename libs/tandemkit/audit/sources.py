"""The text files of any tree, and its Python parsed. Nothing of it is imported or run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tandemkit.audit.syntax import Module

# Made by tools or kept by others: who audits a tree means what its people write.
_FOREIGN_FOLDERS = frozenset(
    {
        ".git",
        ".hg",
        ".mypy_cache",
        ".pants.d",
        ".pytest_cache",
        ".ruff_cache",
        ".svn",
        ".tox",
        ".venv",
        "__pycache__",
        "build",
        "dist",
        "node_modules",
        "site-packages",
        "target",
        "vendor",
        "venv",
    }
)
# Lists that package tools write: long, and full of digests that look like secrets.
_LOCK_NAMES = frozenset(
    {"Cargo.lock", "go.sum", "package-lock.json", "poetry.lock", "uv.lock", "yarn.lock"}
)
TEXT_BYTES_MAX = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that nobody looked into, and why."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class Source:
    """One text file, by its path from the root. `module` is there for Python that parses."""

    path: str
    text: str
    module: Module | None
    # Where it lies.
    file: Path


class Sources:
    """Reads a tree file by file, so that its size is no question of memory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.unread: list[Unread] = []

    def paths(self) -> list[str]:
        """What is to be looked into, sorted. Links are not followed: they may lead out."""
        if self._root.is_file():
            return [self._root.name]
        return sorted(self._walk())

    def read(self, path: str) -> Source | None:
        """None for what is no text; what should be and cannot be read is noted in `unread`."""
        whole = self._root if self._root.is_file() else self._root / path
        try:
            if whole.stat().st_size > TEXT_BYTES_MAX:
                self.unread.append(Unread(path, f"larger than {TEXT_BYTES_MAX} bytes"))
                return None
            content = whole.read_bytes()
        except OSError as error:
            self.unread.append(Unread(path, error.strerror or str(error)))
            return None
        if b"\0" in content:
            return None
        text = content.decode("utf-8", errors="replace")
        return Source(path, text, self._parsed(path, text), whole)

    def each(self, seen: Callable[[int, int], None]) -> Iterator[Source]:
        """All of them; `seen` is told how many of how many."""
        paths = self.paths()
        for number, path in enumerate(paths, 1):
            source = self.read(path)
            if source is not None:
                yield source
            seen(number, len(paths))

    def _parsed(self, path: str, text: str) -> Module | None:
        if not path.endswith((".py", ".pyi")):
            return None
        module = Module(path, text)
        try:
            _ = module.tree
        except (SyntaxError, ValueError, RecursionError) as error:
            self.unread.append(Unread(path, f"is not Python 3: {error}"))
            return None
        return module

    def _walk(self) -> Iterator[str]:
        for folder, subfolders, names in os.walk(self._root, onerror=self._closed):
            subfolders[:] = [name for name in subfolders if name not in _FOREIGN_FOLDERS]
            for name in names:
                path = Path(folder, name)
                if name not in _LOCK_NAMES and path.is_file() and not path.is_symlink():
                    yield path.relative_to(self._root).as_posix()

    def _closed(self, error: OSError) -> None:
        path = Path(error.filename or self._root)
        near = path.relative_to(self._root).as_posix() if path != self._root else "."
        self.unread.append(Unread(near, error.strerror or str(error)))
