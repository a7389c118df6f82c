"""What holds now: the files as they were when they were right last, and what the registry told
last. While one of them fails, what it said before stays.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from services.platform.config_server.book import Book, Source, Unusable, book, inline, source
from services.platform.config_server.ledger import Records
from services.platform.config_server.resolution import View
from tandem.platform.config.v1 import config_server_pb2 as cfg
from tandemkit.core import log
from tandemkit.core.clock import Clock, until_next_s
from tandemkit.core.errors import Failure
from tandemkit.hosting.chronicle import Following
from tandemkit.supervise.alarm import Turns

# How often a file is looked at: a stat each, no more.
LOOK_EVERY_S = 2.0
_LOGGER = logging.getLogger("services.platform.config_server")
_Stamp: TypeAlias = tuple[tuple[int, int], ...]


class NotKnown(Failure):
    """Nobody can be told anything yet."""


class Standing:
    def __init__(
        self,
        settings: cfg.ConfigServerSettings,
        records: Records,
        clock: Clock,
    ) -> None:
        self.problems: Sequence[str] = ("no file was read yet",)
        # What is set at run time.
        self.told = Following(records, clock, self._look_again)
        self._settings, self._clock = settings, clock
        self._files = [Path(name) for name in settings.files]
        self._book: Book | None = None
        self._view: View | None = None
        self._turns = Turns()

    @property
    def view(self) -> View:
        """Raises NotKnown."""
        if self._view is None:
            known = "the registry has not told what is set at run time"
            raise NotKnown(known if self._book else self.problems[0])
        return self._view

    async def known(self) -> None:
        """Raises until anybody can be told anything."""
        assert self.view

    async def changed(self, within_s: float) -> None:
        """Returns with the next change of the view, or after that time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._turns.next()

    async def read(self) -> None:
        """Reads all files. What cannot be used is told, and what they said before stays."""
        try:
            sources = await asyncio.to_thread(_read, self._files)
            everything = [inline(self._settings.inline), *sources]
            self._book = book(everything, self._settings.variables)
        except Unusable as error:
            self.problems = error.problems
            cause, count = error.message, len(error.problems)
            log.event(_LOGGER, logging.ERROR, "config.files_unusable", cause=cause, problems=count)
            return
        self.problems = ()
        self._look_again()

    async def look_at_files(self) -> None:
        """Reads them again whenever they changed, until cancelled."""
        seen = await asyncio.to_thread(_stamps, self._files)
        while self._files:
            await self._clock.sleep(until_next_s(self._clock, LOOK_EVERY_S))
            now = await asyncio.to_thread(_stamps, self._files)
            if now != seen:
                seen = now
                await self.read()
                log.event(_LOGGER, logging.INFO, "config.files_read", usable=not self.problems)

    def _look_again(self) -> None:
        told = self.told
        if self._book is None or told.record is None:
            return
        profile = self._settings.profile
        self._view = View.of(self._book, profile, told.record, stale=told.stale)
        self._turns.tell()


def _read(files: Iterable[Path]) -> list[Source]:
    found, problems = [], []
    for path in files:
        try:
            found.append(source(str(path), path.read_bytes()))
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
        except Unusable as error:
            problems.extend(error.problems)
    if problems:
        raise Unusable(problems)
    return found


def _stamps(files: Iterable[Path]) -> _Stamp:
    return tuple(_stamp(path) for path in files)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)
