"""Records of sessions, changed as copies: what is in memory is what is on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from tandem.memory.v1.session_pb2 import SessionRecord, Turn


def turn_digest(turn_id: str) -> int:
    """By which a turn is known that is not kept."""
    return int.from_bytes(hashlib.blake2b(turn_id.encode(), digest_size=8).digest())


def with_only(record: SessionRecord, staying: Iterable[Turn]) -> SessionRecord:
    """Once other turns are gone; counted anew, which also mends what was cut off before."""
    changed = copy_of(record)
    sizes = [len(turn.text.encode()) for turn in staying]
    changed.session.turns, changed.session.text_bytes = len(sizes), sum(sizes)
    return changed


def copy_of(record: SessionRecord) -> SessionRecord:
    copied = SessionRecord()
    copied.CopyFrom(record)
    return copied
