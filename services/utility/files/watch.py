"""What differs in a folder since it was last looked at.

The kernel's events only say where to look; what is told is the difference between two states. So
nothing that lasts is lost when events are, and what comes and goes between two looks is not told.
docs/design/files.md has the reasoning.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from services.utility.files.inotify import Event, Inotify
from services.utility.files.jail import described
from services.utility.files.listing import Walk
from services.utility.files.paths import DEPTH_MAX, Parts, broken_name_rule, shown
from tandem.utility.v1 import errors_pb2 as errors
from tandem.utility.v1 import file_pb2 as pb
from tandemkit.core.errors import CallerError

_State: TypeAlias = dict[Parts, pb.File]
_LIMIT_REASONS = {errors.ERROR_REASON_TOO_MANY_ENTRIES, errors.ERROR_REASON_WATCH_LIMIT}


@dataclass
class Look:
    """What one look found."""

    changes: list[pb.FileChange] = field(default_factory=list)
    # Events were lost, and all was looked at.
    overflowed: bool = False
    # The folder itself is no more, or has another path.
    gone: bool = False


class Watch:
    """One folder under watch. Blocks: call it from a thread. Closing waits for the look in hand."""

    def __init__(self, walk: Walk) -> None:
        self._jail, self._top, self._walk = walk.jail, walk.top, walk
        self._turn = threading.Lock()
        self._inotify = Inotify()
        # The top and the folders above it: if one of them goes, what we watch has no path any more.
        self._spine: set[int] = set()
        self._folders: dict[int, Parts] = {}
        self._known: _State = {}

    def arm(self) -> int:
        """How many names it looks at. What happens to them from now on, `look` will find."""
        with self._turn:
            self._inotify.open()
            self._spine = {self._armed(self._top[:depth]) for depth in range(len(self._top) + 1)}
            self._known = self._scanned(self._top)
            return len(self._known)

    def fileno(self) -> int:
        """Readable when there is something to look at; -1 while it is not armed."""
        return self._inotify.fileno()

    def close(self) -> None:
        with self._turn:
            self._inotify.close()

    def look(self) -> Look:
        """Takes a buffer of events from the kernel, and looks where they point."""
        with self._turn:
            events = self._inotify.events()
            if any(event.folder_gone and event.watch in self._spine for event in events):
                return Look(gone=True)
            if any(event.overflowed for event in events):
                return Look(self._renewed(dict(self._known), [self._top]), overflowed=True)
            return Look(self._renewed(*self._stale(events)))

    def _stale(self, events: Iterable[Event]) -> tuple[_State, list[Parts]]:
        """What is known and no longer so, and the places to scan instead."""
        before: _State = {}
        places: list[Parts] = []
        for place in sorted(self._named(events)):
            if any(place[: len(outer)] == outer for outer in places):
                continue
            known, now = self._known.get(place), self._found(place)
            if known is not None and now is not None and _is_same_folder(known, now):
                continue
            places.append(place)
            if known is not None:
                before |= self._known_below(place, known)
        return before, places

    def _known_below(self, place: Parts, known: pb.File) -> _State:
        if known.kind != pb.FILE_KIND_FOLDER:
            return {place: known}
        depth = len(place)
        return {parts: file for parts, file in self._known.items() if parts[:depth] == place}

    def _named(self, events: Iterable[Event]) -> set[Parts]:
        return {
            (*self._folders[event.watch], event.name)
            for event in events
            if event.watch in self._folders and not broken_name_rule(event.name)
        }

    def _renewed(self, before: _State, places: list[Parts]) -> list[pb.FileChange]:
        """Puts what stands at `places` now where `before` was; the differences."""
        old_watches = {watch for watch, parts in self._folders.items() if parts in before}
        for watch in old_watches:
            del self._folders[watch]
        for parts in before:
            del self._known[parts]
        after: _State = {}
        for place in places:
            after |= self._scanned(place)
        self._known |= after
        # A folder that only moved was watched again by the scan, under the number that it had.
        for watch in old_watches - self._folders.keys() - self._spine:
            self._inotify.unwatch(watch)
        return differences(before, after)

    def _scanned(self, place: Parts) -> _State:
        """All at and below `place`. A folder is watched before it is read: the rest are events."""
        found: _State = {}
        pending = [place]
        while pending:
            parts = pending.pop()
            if parts != self._top:
                file = self._found(parts)
                if file is None:
                    continue
                found[parts] = file
                self._check_count(len(found))
                if not self._is_entered(parts, file):
                    continue
            try:
                self._folders[self._armed(parts)] = parts
                pending += [(*parts, name) for name in self._walk.names(parts)]
            except CallerError as error:
                # Gone or swapped since: that is an event of the folder above, unless there is none.
                if parts == self._top or error.reason in _LIMIT_REASONS:
                    raise
        return found

    def _armed(self, parts: Parts) -> int:
        with self._jail.folder(parts) as folder:
            return self._inotify.watch(folder)

    def _is_entered(self, parts: Parts, file: pb.File) -> bool:
        is_folder = file.kind == pb.FILE_KIND_FOLDER
        return is_folder and self._walk.recursive and len(parts) < DEPTH_MAX

    def _found(self, parts: Parts) -> pb.File | None:
        try:
            return described(parts, self._jail.stat(parts))
        except CallerError:
            return None

    def _check_count(self, found_count: int) -> None:
        if len(self._known) + found_count > self._walk.entries_max:
            raise CallerError(
                errors.ERROR_REASON_TOO_MANY_ENTRIES,
                "the watch would look at more names than the limit",
                path=shown(self._top),
                entries_max=self._walk.entries_max,
            )


def differences(before: _State, after: _State) -> list[pb.FileChange]:
    """Turns one state into the other, in byte order of the components."""
    gone = {parts: file for parts, file in before.items() if parts not in after}
    sources = {_identity(file): parts for parts, file in gone.items()}
    told: dict[Parts, pb.FileChange] = {}
    for parts, file in after.items():
        known = before.get(parts)
        if known is None:
            source = sources.pop(_identity(file), None)
            kind = pb.FILE_CHANGE_KIND_CREATED if source is None else pb.FILE_CHANGE_KIND_MOVED
            told[parts] = pb.FileChange(kind=kind, file=file, source_path=shown(source or ()))
            gone.pop(source or (), None)
        elif not _is_same_folder(known, file) and known.etag != file.etag:
            told[parts] = pb.FileChange(kind=pb.FILE_CHANGE_KIND_MODIFIED, file=file)
    for parts, file in gone.items():
        told[parts] = pb.FileChange(kind=pb.FILE_CHANGE_KIND_DELETED, file=file)
    return [told[parts] for parts in sorted(told)]


def _inode(file: pb.File) -> str:
    return file.etag.partition("-")[0]


def _identity(file: pb.File) -> tuple[int, str]:
    """Tells a moved file from a new one with a freed inode; of a folder nothing else lasts."""
    return file.kind, _inode(file) if file.kind == pb.FILE_KIND_FOLDER else file.etag


def _is_same_folder(one: pb.File, other: pb.File) -> bool:
    kinds = {one.kind, other.kind}
    return kinds == {pb.FILE_KIND_FOLDER} and _inode(one) == _inode(other)


async def looks(walk: Walk) -> AsyncGenerator[int | Look, None]:
    """First how many names are watched, and from then on a look whenever there is something to see,
    until the folder goes. A slow reader costs no memory here: the kernel keeps the events, and past
    its limit says so.
    """
    watch = Watch(walk)
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()

    def wake() -> None:
        loop.remove_reader(watch.fileno())
        readable.set()

    try:
        yield await asyncio.to_thread(watch.arm)
        gone = False
        while not gone:
            loop.add_reader(watch.fileno(), wake)
            await readable.wait()
            readable.clear()
            look = await asyncio.to_thread(watch.look)
            gone = look.gone
            yield look
    finally:
        if watch.fileno() >= 0:
            loop.remove_reader(watch.fileno())
        await asyncio.to_thread(watch.close)
