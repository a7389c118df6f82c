"""Names by glob, lines by pattern, below a folder: in pieces, each a few milliseconds."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice

from services.utility.files.globbing import Pattern
from services.utility.files.jail import Jail
from services.utility.files.listing import Walk
from services.utility.files.paths import Parts, parse_path
from services.utility.files.refusal import refusals_for
from tandem.utility.v1 import file_pb2 as pb
from tandemkit.core.errors import CallerError

_NAMES_PER_PIECE = 256
# A NUL in the first bytes is what tells a binary file from text, as grep has it.
_HEAD_BYTES = 8192
_EXCERPT_BYTES = 256
_EXCERPT_BYTES_BEFORE = 96


@dataclass(frozen=True)
class Query:
    """None: any name, or names only."""

    name: Pattern | None
    # Whether `name` is held against the whole path below the folder, and not its last component.
    name_is_path: bool
    line: Pattern | None
    matches_max: int
    file_bytes_max: int


@dataclass
class Tally:
    """What a search has seen so far; `search` counts it up."""

    names_selected: int = 0
    files_skipped: int = 0
    truncated: bool = False


def search(walk: Walk, query: Query, tally: Tally) -> Generator[list[pb.FileMatch], None, None]:
    """Matches in the order of the walk. An empty list says only that time has passed."""
    room = query.matches_max
    batch: list[pb.FileMatch] = []
    for seen, file in enumerate(walk.files(), start=1):
        is_selected = _is_selected(walk.top, query, file)
        if is_selected:
            tally.names_selected += 1
            batch += islice(_matches(walk.jail, query, tally, file), room + 1 - len(batch))
        if len(batch) > room:
            tally.truncated = True
            yield batch[:room]
            return
        if (is_selected and query.line is not None) or seen % _NAMES_PER_PIECE == 0:
            yield batch
            room -= len(batch)
            batch = []
    yield batch


def _is_selected(top: Parts, query: Query, file: pb.File) -> bool:
    if query.name is None:
        return True
    parts = parse_path(file.path)
    below = "/".join(parts[len(top) :]) if query.name_is_path else parts[-1]
    return query.name.fullmatch(below.encode()) is not None


def _matches(jail: Jail, query: Query, tally: Tally, file: pb.File) -> Iterator[pb.FileMatch]:
    if query.line is None:
        yield pb.FileMatch(path=file.path)
    elif file.kind != pb.FILE_KIND_FOLDER:
        text = _text_of(jail, query, file)
        if text is None:
            tally.files_skipped += 1
        else:
            yield from _lines(file.path, text, query.line)


def _text_of(jail: Jail, query: Query, file: pb.File) -> bytes | None:
    """What the file holds; None if it is binary, too large, or not to be read."""
    if file.size_bytes > query.file_bytes_max:
        return None
    parts = parse_path(file.path)
    try:
        with jail.file(parts) as descriptor, refusals_for(parts):
            # It may have grown since it was listed: what is read counts.
            head = os.pread(descriptor, _HEAD_BYTES, 0)
            if b"\0" in head:
                return None
            rest = os.pread(descriptor, query.file_bytes_max + 1, len(head))
    except CallerError:
        return None
    text = head + rest
    return text if len(text) <= query.file_bytes_max else None


def _lines(path: str, text: bytes, pattern: Pattern) -> Iterator[pb.FileMatch]:
    """The first match of each line that has one."""
    line, counted_to, position = 1, 0, 0
    while position < len(text) and (match := pattern.search(text, position)) is not None:
        found = match.start()
        line_start = text.rfind(b"\n", 0, found) + 1
        line_end = text.find(b"\n", found)
        if line_end < 0:
            line_end = len(text)
        if line_start == len(text):
            # The empty rest after the last newline is no line.
            return
        line += text.count(b"\n", counted_to, line_start)
        counted_to = line_start
        excerpt_start = max(line_start, found - _EXCERPT_BYTES_BEFORE)
        excerpt = text[excerpt_start : min(line_end, excerpt_start + _EXCERPT_BYTES)]
        yield pb.FileMatch(
            path=path,
            line=line,
            column_bytes=found - line_start,
            excerpt=excerpt.decode(errors="replace"),
        )
        position = line_end + 1
