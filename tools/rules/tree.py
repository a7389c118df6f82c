"""The repository as text, and what a rule finds in it. Rules read a `Tree` and never the disk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath

from tandemkit.audit.syntax import Module

# Pants leaves its launchers next to the sources in a sandbox; no repository tracks them.
_NEVER_TRACKED = (".git", ".git/", ".cache/", "*.pex/", "*.pex", "*.pex_*", "/__pex_*")


class Tree:
    """Every tracked file by its path from the root. A file that is not UTF-8 has no text."""

    def __init__(self, files: Mapping[str, str], parsed: Iterable[Module] = ()) -> None:
        """`parsed` are modules of another tree, of which this one may have the same texts."""
        self.files = dict(sorted(files.items()))
        self._parsed = {one.path: one for one in parsed}

    @classmethod
    def read(cls, root: Path) -> Tree:
        """Reads what `.gitignore` does not name: git itself is absent where the tests run."""
        return cls({path: _text(root / path) for path in _walk(root, _ignored_patterns(root))})

    @cached_property
    def modules(self) -> tuple[Module, ...]:
        return tuple(
            self._module(path, text) for path, text in self.files.items() if path.endswith(".py")
        )

    def _module(self, path: str, text: str) -> Module:
        known = self._parsed.get(path)
        return known if known is not None and known.text == text else Module(path, text)

    def modules_under(self, *folders: str) -> Iterator[Module]:
        """The Python files below any of the folders, each given with its trailing slash."""
        return (module for module in self.modules if module.path.startswith(folders))

    def lines(self, path: str) -> Iterator[tuple[int, str]]:
        return enumerate(self.files[path].splitlines(), start=1)

    def with_files(self, changes: Mapping[str, str | None]) -> Tree:
        """A copy with files replaced, added, or (by None) removed."""
        merged: dict[str, str | None] = {**self.files, **changes}
        files = {path: text for path, text in merged.items() if text is not None}
        return Tree(files, self.modules)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def _ignored_patterns(root: Path) -> tuple[str, ...]:
    listed = root / ".gitignore"
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.exists() else []
    return _NEVER_TRACKED + tuple(line for line in lines if line and not line.startswith("#"))


def _walk(root: Path, patterns: tuple[str, ...]) -> Iterator[str]:
    for folder, subfolders, names in os.walk(root):
        here = PurePosixPath(Path(folder).relative_to(root).as_posix())
        subfolders[:] = sorted(
            name for name in subfolders if not _ignored(f"{here / name}/", patterns)
        )
        for name in sorted(names):
            path = str(here / name)
            if not _ignored(path, patterns) and not (root / path).is_symlink():
                yield path


def _ignored(path: str, patterns: tuple[str, ...]) -> bool:
    """The part of gitignore's language that the root file uses: no negation, no `**`."""
    is_folder = path.endswith("/")
    bare = path.rstrip("/")
    for pattern in patterns:
        if pattern.endswith("/") and not is_folder:
            continue
        wanted = pattern.rstrip("/")
        subject = bare if "/" in wanted else bare.rsplit("/", 1)[-1]
        if fnmatchcase(subject, wanted.removeprefix("/")):
            return True
    return False
