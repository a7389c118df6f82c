"""Files below a folder that the settings allow: no link is followed, whatever changes meanwhile."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import re2

from tandemkit.core.errors import Failure

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DEPTH_MAX = 64


class FolderRefused(Failure):
    """The folder is below none of the roots, or is reached by a link."""


class FolderMissing(Failure):
    """There is no such folder."""


class TooMany(Failure):
    """The folder has more files than an ingest may."""


class FileGone(Failure):
    """It went, is no file, or may not be read."""


class FileTooLarge(Failure):
    """It has more bytes than a document may."""


@dataclass(frozen=True, slots=True)
class Jail:
    """Where folders may lie."""

    roots: tuple[str, ...]

    def check(self, folder: str) -> None:
        """Raises FolderRefused, FolderMissing."""
        with self._opened(folder):
            pass

    def files(self, folder: str, patterns: Sequence[str], files_max: int) -> list[str]:
        """Paths below it, sorted: without a pattern all but what is hidden. Raises TooMany too."""
        chosen: list[str] = []
        with self._opened(folder) as opened:
            for path in _walk(opened, "", 0):
                if selects(patterns, path):
                    chosen.append(path)
                if len(chosen) > files_max:
                    raise TooMany("the folder has too many files", files_max=files_max)
        return sorted(chosen)

    def read(self, folder: str, path: str, bytes_max: int) -> bytes:
        """A file's content. Raises FileGone, FileTooLarge besides."""
        with self._opened(folder) as opened:
            try:
                parent = _descended(opened, PurePosixPath(path).parent.parts)
                try:
                    descriptor = os.open(PurePosixPath(path).name, _FILE, dir_fd=parent)
                finally:
                    os.close(parent)
                with os.fdopen(descriptor, "rb") as file:
                    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                        raise FileGone("it is no file")
                    content = file.read(bytes_max + 1)
            except OSError as error:
                raise FileGone("the file cannot be read", cause=error.strerror) from error
        if len(content) > bytes_max:
            raise FileTooLarge("the file is too large", bytes_max=bytes_max)
        return content

    @contextmanager
    def _opened(self, folder: str) -> Iterator[int]:
        wanted = PurePosixPath(folder)
        for root in self.roots:
            if ".." not in wanted.parts and wanted.is_relative_to(root):
                parts = wanted.relative_to(root).parts
                with _root(root) as opened, _below(opened, parts, folder) as found:
                    yield found
                return
        raise FolderRefused("the folder is below none of the roots", roots=len(self.roots))


def selects(patterns: Sequence[str], path: str) -> bool:
    """Whether one of the globs has the path. Without any, all but what is hidden."""
    if not patterns:
        return not any(part.startswith(".") for part in PurePosixPath(path).parts)
    return any(_compiled(one).fullmatch(path) for one in patterns)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    """By RE2, whose time grows with the path alone, whatever somebody's glob is."""
    said = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re2.compile("(?s)" + "".join(said.get(one) or re2.escape(one) for one in parts))


@contextmanager
def _root(root: str) -> Iterator[int]:
    try:
        # The operator's own word: this one may be a link.
        opened = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise FolderMissing("the root is not there", cause=error.strerror) from error
    try:
        yield opened
    finally:
        os.close(opened)


@contextmanager
def _below(root: int, parts: Sequence[str], folder: str) -> Iterator[int]:
    try:
        found = _descended(root, parts)
    except FileNotFoundError as error:
        raise FolderMissing("there is no such folder", folder=folder) from error
    except OSError as error:
        message = "the folder cannot be entered; links are not followed"
        raise FolderRefused(message, folder=folder, cause=error.strerror) from error
    try:
        yield found
    finally:
        os.close(found)


def _descended(opened: int, parts: Sequence[str]) -> int:
    """A descriptor of its own."""
    found = os.dup(opened)
    for part in parts:
        try:
            below = os.open(part, _FOLDER, dir_fd=found)
        finally:
            os.close(found)
        found = below
    return found


def _walk(opened: int, above: str, depth: int) -> Iterator[str]:
    with os.scandir(opened) as entries:
        found = sorted(entries, key=lambda one: one.name)
    for one in found:
        path = f"{above}{one.name}"
        if one.is_file(follow_symlinks=False):
            if _is_text(path):
                yield path
        elif one.is_dir(follow_symlinks=False) and depth < _DEPTH_MAX:
            try:
                below = os.open(one.name, _FOLDER, dir_fd=opened)
            except FileNotFoundError:
                continue
            except OSError as error:
                # What cannot be looked into is not taken for empty.
                message = "a folder below cannot be read"
                raise FolderRefused(message, folder=path, cause=error.strerror) from error
            try:
                yield from _walk(below, f"{path}/", depth + 1)
            finally:
                os.close(below)


def _is_text(name: str) -> bool:
    """Names that are no UTF-8 have no place in a message."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)
