"""What journaled writes make of a memory, before the orchestrator has heard of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tandem.memory.v1.journal_pb2 import JournalEntry
from tandem.memory.v1.memory_pb2 import (
    MEMORY_STANDING_CURRENT,
    MEMORY_TIER_EPISODIC,
    MEMORY_TIER_SEMANTIC,
    Memory,
)

_IMPORTANCE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Overlaid:
    """`memory` is None where it is deleted, or where nothing is known of it. `is_whole` says that
    all of it is known, with its version.
    """

    memory: Memory | None
    is_whole: bool
    is_deleted: bool = False


def overlaid(base: Memory | None, entries: Iterable[JournalEntry]) -> Overlaid:
    """`base` is what the orchestrator said last; None where it said nothing."""
    memory, is_whole, is_deleted = base, base is not None, False
    for entry in entries:
        match entry.WhichOneof("write"):
            case "add":
                # One that is there was added by an attempt whose end was not heard.
                memory, is_whole = memory or _added(entry), True
            case "update":
                memory = _updated(memory or Memory(name=entry.name), entry)
            case _:
                memory, is_deleted = None, True
    return Overlaid(memory, is_whole and memory is not None, is_deleted)


def _added(entry: JournalEntry) -> Memory:
    """With the defaults of the contract, as far as they can be told here."""
    made = Memory()
    made.CopyFrom(entry.add.memory)
    made.name, made.version = entry.name, 1
    has_fact = made.HasField("fact")
    made.tier = made.tier or (MEMORY_TIER_SEMANTIC if has_fact else MEMORY_TIER_EPISODIC)
    if has_fact and not made.text:
        made.text = f"{made.fact.subject} {made.fact.predicate} {made.fact.object}"
    if not made.HasField("importance"):
        made.importance = _IMPORTANCE
    made.standing, made.strength = MEMORY_STANDING_CURRENT, 1.0
    for moment in (made.create_time, made.learned_at, made.last_used_at):
        moment.CopyFrom(entry.time)
    return made


def _updated(known: Memory, entry: JournalEntry) -> Memory:
    made = Memory()
    made.CopyFrom(known)
    entry.update.update_mask.MergeMessage(
        entry.update.memory, made, replace_message_field=True, replace_repeated_field=True
    )
    made.version = known.version + 1 if known.version else 0
    return made
