"""The names in a folder, in one order, from anywhere on."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from services.utility.files.batching import first_batch
from services.utility.files.jail import Jail, described
from services.utility.files.paths import DEPTH_MAX, Parts, broken_name_rule, parse_path, shown
from tandem.utility.v1 import errors_pb2 as errors
from tandem.utility.v1 import file_pb2 as pb
from tandemkit.core.errors import CallerError

_DIGEST_BYTES = 8


@dataclass(frozen=True)
class Walk:
    """A folder and whether to go below it. Holds nothing open between two names, so it may be
    dropped at any time.
    """

    jail: Jail
    top: Parts
    recursive: bool
    # Most names that one folder may hold.
    entries_max: int

    def files(self, after: Parts = ()) -> Iterator[pb.File]:
        """In byte order of the components, a folder before what it holds; those after `after`,
        which is below `top`.

        Something that comes, goes or turns into a link meanwhile is met as it is then, or left out.
        """
        return self._below(self.top, self.names(self.top), after)

    def names(self, folder: Parts) -> list[str]:
        """The names in one folder that callers can say, sorted."""
        with self.jail.folder(folder) as descriptor, os.scandir(descriptor) as entries:
            names = [entry.name for entry in islice(entries, self.entries_max + 1)]
        if len(names) > self.entries_max:
            raise CallerError(
                errors.ERROR_REASON_TOO_MANY_ENTRIES,
                "the folder holds more names than the limit",
                path=shown(folder),
                entries_max=self.entries_max,
            )
        return sorted(name for name in names if not broken_name_rule(name))

    def _below(self, folder: Parts, names: list[str], after: Parts) -> Iterator[pb.File]:
        for name in names:
            if after and name < after[0]:
                continue
            is_resumed = bool(after) and name == after[0]
            parts = (*folder, name)
            try:
                file = described(parts, self.jail.stat(parts))
                is_entered = self.recursive and file.kind == pb.FILE_KIND_FOLDER
                names_below = self.names(parts) if is_entered and len(parts) < DEPTH_MAX else []
            except CallerError as error:
                if error.reason == errors.ERROR_REASON_TOO_MANY_ENTRIES:
                    raise
                continue
            if not is_resumed:
                yield file
            yield from self._below(parts, names_below, after[1:] if is_resumed else ())


@dataclass(frozen=True)
class Page:
    files: list[pb.File]
    # Empty: the last page.
    next_page_token: str


def page(walk: Walk, size: int, token: str) -> Page:
    """The next `size` entries. The token holds the last path shown, so pages need no memory here
    and outlive a restart.
    """
    after = _parse_token(walk, token) if token else ()
    files, beyond = first_batch(walk.files(after), size)
    return Page(files, "" if beyond is None else _token(walk, files[-1].path))


def walk_of(jail: Jail, path: str, *, recursive: bool, entries_max: int) -> Walk:
    """The walk that a caller asks for; refuses what is no folder."""
    parts = parse_path(path)
    with jail.folder(parts):
        return Walk(jail, parts, recursive, entries_max)


def _token(walk: Walk, path: str) -> str:
    return base64.urlsafe_b64encode(_digest(walk) + path.encode()).decode()


def _parse_token(walk: Walk, token: str) -> Parts:
    try:
        decoded = base64.urlsafe_b64decode(token)
        parts = parse_path(decoded[_DIGEST_BYTES:].decode())
    except (ValueError, CallerError) as error:
        raise _bad_token() from error
    is_below = len(parts) > len(walk.top) and parts[: len(walk.top)] == walk.top
    if decoded[:_DIGEST_BYTES] != _digest(walk) or not is_below:
        raise _bad_token()
    return parts[len(walk.top) :]


def _digest(walk: Walk) -> bytes:
    """Of the question, so that a token is not taken for another one's."""
    question = f"{shown(walk.top)}\0{walk.recursive}".encode()
    return hashlib.blake2b(question, digest_size=_DIGEST_BYTES).digest()


def _bad_token() -> CallerError:
    return CallerError(
        errors.ERROR_REASON_BAD_FILE_REQUEST,
        "the page token is not one of this listing",
        field="page_token",
        rule="page_token",
    )
