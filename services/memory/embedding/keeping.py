"""Vectors that were computed, for the next who asks: in memory, and on the disk of the machine."""

from __future__ import annotations

import asyncio
import logging
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from sqlite3 import Connection as Database

from tandemkit.core import log
from tandemkit.ml.embedding.protocol import Embedded, Space
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.failure import Damaged
from tandemkit.storage.sqlite_file import Connection

_LOGGER = logging.getLogger("services.memory")
# What Python takes for an entry besides its numbers.
_ENTRY_BYTES = 400
# A third of a gigabyte where vectors have 384 numbers.
_ROWS_MAX = 200_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors (
    space TEXT NOT NULL,
    hash BLOB NOT NULL,
    vector BLOB NOT NULL,
    tokens INTEGER NOT NULL,
    is_truncated INTEGER NOT NULL,
    PRIMARY KEY (space, hash)
);
"""
_PRUNE = "DELETE FROM vectors WHERE rowid <= (SELECT MAX(rowid) FROM vectors) - ?"
_FIND = "SELECT vector, tokens, is_truncated FROM vectors WHERE space = ? AND hash = ?"
_PUT = "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?, ?)"


def digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


class Recent:
    """The vectors that were used last, by their texts' hashes, as many as there is room for."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max, self._bytes = bytes_max, 0
        self._entries: OrderedDict[bytes, Embedded] = OrderedDict()

    def find(self, key: bytes) -> Embedded | None:
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: bytes, embedded: Embedded) -> None:
        if key in self._entries:
            return
        self._entries[key] = embedded
        self._bytes += _size(embedded)
        while self._bytes > self._bytes_max:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= _size(oldest)

    def clear(self) -> None:
        self._entries.clear()
        self._bytes = 0


class Shelf:
    """The same in a file that all fleets of a user share. It may be deleted at any time, and what
    is wrong with it costs the time that it would have saved.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: Connection | None = None
        self._is_wrong = False
        self._opening = asyncio.Lock()

    async def find(self, space: Space, keys: Sequence[bytes]) -> Mapping[bytes, Embedded]:
        """What there is of them."""
        name = _name(space)

        def look(database: Database) -> dict[bytes, Embedded]:
            rows = ((key, database.execute(_FIND, (name, key)).fetchone()) for key in keys)
            return {key: _embedded(*row) for key, row in rows if row is not None}

        connection = await self._opened() if space.version else None
        if connection is not None:
            try:
                return await connection.do(look)
            except (Unreachable, Damaged) as error:
                self._give_up(error)
        return {}

    async def put(self, space: Space, computed: Iterable[tuple[bytes, Embedded]]) -> None:
        """Those of a model without a version are not kept: another one may come by its name."""
        name = _name(space)
        rows = [
            (name, key, one.vector.tobytes(), one.tokens, one.is_truncated) for key, one in computed
        ]
        connection = await self._opened() if rows and space.version else None
        if connection is not None:
            try:
                await connection.do(lambda database: database.executemany(_PUT, rows))
            except (Unreachable, Damaged) as error:
                self._give_up(error)

    async def close(self) -> None:
        if self._connection is not None:
            await asyncio.to_thread(self._connection.close)
            self._connection = None

    async def _opened(self) -> Connection | None:
        async with self._opening:
            if self._connection is None and not self._is_wrong:
                try:
                    self._connection = await asyncio.to_thread(self._open)
                except (OSError, Unreachable, Damaged) as error:
                    self._give_up(error)
        return self._connection

    def _open(self) -> Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return Connection(self._path, f"{_SCHEMA}{_PRUNE.replace('?', str(_ROWS_MAX))};")

    def _give_up(self, error: Exception) -> None:
        """Until the next start. A file that is damaged is made anew then."""
        self._is_wrong = True
        if isinstance(error, Damaged):
            self._path.unlink(missing_ok=True)
        log.event(_LOGGER, logging.WARNING, "embedding.shelf_lost", error=str(error))


def _size(embedded: Embedded) -> int:
    return _ENTRY_BYTES + len(embedded.vector) * embedded.vector.itemsize


def _name(space: Space) -> str:
    return f"{space.model}/{space.version}/{space.dimension}"


def _embedded(vector: bytes, tokens: int, is_truncated: int) -> Embedded:
    return Embedded(array("f", vector), tokens, bool(is_truncated))
