"""Which ingests are worked on: those of one folder one behind the other, each with a look of its
own into the folder, so that none takes for gone what another one has just taken in.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from services.memory.knowledge_base.ledger import RUNNING, Order

_RUNNING: Final = "SELECT key, space, folder FROM ingests WHERE state = ? ORDER BY key"
_OF_FOLDER: Final = """
SELECT key, digest, is_listed FROM ingests WHERE state = ? AND space = ? AND folder = ?
ORDER BY key
"""


def due(database: sqlite3.Connection) -> list[int]:
    """Those whose turn it is, the oldest first."""
    keys: list[int] = []
    folders: set[tuple[int, str]] = set()
    for key, space, folder in database.execute(_RUNNING, (RUNNING,)):
        if not folder or (space, folder) not in folders:
            keys.append(key)
            folders.add((space, folder))
    return keys


def waiting(database: sqlite3.Connection, order: Order) -> int | None:
    """One that is to do the same and waits for its turn: it will find what is there now."""
    if not order.folder:
        return None
    rows = database.execute(_OF_FOLDER, (RUNNING, order.space, order.folder)).fetchall()
    wanted = order.digest
    behind = (key for key, digest, is_listed in rows[1:] if digest == wanted and not is_listed)
    return next(behind, None)
