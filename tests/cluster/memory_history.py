"""What was done to memories and what was heard of it, and whether one thing after the other can
have led to it: linearizability of each memory by itself (Herlihy and Wing, 1990), looked for as
Wing and Gong did.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from math import inf
from typing import TypeAlias

# What a memory is: its text, or one of these.
NEVER, DELETED = "<never>", "<deleted>"
State: TypeAlias = str


class Deed(Enum):
    ADD = "add"
    UPDATE = "update"
    DELETE = "delete"
    # By GetMemory, or by a search for a word that this memory alone ever had.
    READ = "read"


class Heard(Enum):
    DONE = "done"
    # It was refused: it changed nothing, for the memory was in another state.
    REFUSED = "refused"
    # No answer: it happened at some time since, or never.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Operation:
    """One call, or one and its repetitions. `text` is what was written or read; of a read that
    found nothing it is None. Who heard nothing of a write waits for ever.
    """

    memory: str
    deed: Deed
    heard: Heard
    began_s: float
    ended_s: float
    text: str | None = None

    @property
    def until_s(self) -> float:
        return inf if self.heard is Heard.UNKNOWN else self.ended_s


def faults(operations: Iterable[Operation]) -> list[str]:
    """Each memory whose history no order explains, with the history."""
    by_memory: dict[str, list[Operation]] = defaultdict(list)
    for one in sorted(operations, key=lambda one: one.began_s):
        by_memory[one.memory].append(one)
    return [
        f"{name}: no order explains\n" + "\n".join(f"  {one}" for one in told)
        for name, told in sorted(by_memory.items())
        if not is_linear(_telling(told))
    ]


def _telling(operations: Sequence[Operation]) -> list[Operation]:
    """Without those of unknown end that cannot matter: reads; updates whose text nobody ever read;
    of additions and of deletions all but the first, for one alone can change something.
    """
    read = {one.text for one in operations if one.deed is Deed.READ and one.heard is Heard.DONE}
    told, waiting = [], set()
    for one in operations:
        if one.heard is Heard.UNKNOWN:
            if one.deed is Deed.READ or (one.deed is Deed.UPDATE and one.text not in read):
                continue
            if one.deed in waiting:
                continue
            if one.deed is not Deed.UPDATE:
                waiting.add(one.deed)
        told.append(one)
    return told


def repeated(names: Iterable[str]) -> list[str]:
    """Memories that a listing has more than once."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


def is_linear(operations: Sequence[Operation]) -> bool:
    """Whether they, in the order of their begins, can have happened one after the other, each
    between its begin and its end.
    """
    everything = (1 << len(operations)) - 1
    unknown = sum(1 << at for at, one in enumerate(operations) if one.heard is Heard.UNKNOWN)

    @cache
    def leads(done: int, state: State) -> bool:
        if (done | unknown) == everything:
            return True
        left = [at for at in range(len(operations)) if not done >> at & 1]
        # Nothing can come behind what had ended before it began.
        first_end_s = min(operations[at].until_s for at in left)
        return any(
            leads(done | 1 << at, after)
            for at in left
            if operations[at].began_s <= first_end_s
            for after in _after(operations[at], state)
        )

    return leads(0, NEVER)


def _after(one: Operation, state: State) -> tuple[State, ...]:
    """The states that it can leave, if it can happen in this one with what was heard. What nobody
    heard of may have been refused.
    """
    refused = {
        Deed.ADD: state == DELETED,
        Deed.UPDATE: not _is_there(state),
        Deed.DELETE: False,
        Deed.READ: False,
    }[one.deed]
    done = () if one.heard is Heard.REFUSED else _done(one, state)
    may_be_refused = one.heard is not Heard.DONE and refused
    return (*done, state) if may_be_refused else done


def _done(one: Operation, state: State) -> tuple[State, ...]:
    match one.deed:
        case Deed.READ:
            read = one.text == state if one.text is not None else not _is_there(state)
            return (state,) if read else ()
        case Deed.ADD if state == NEVER:
            return (one.text or "",)
        case Deed.ADD:
            # The same again is answered with the memory as it is now.
            return (state,) if _is_there(state) else ()
        case Deed.UPDATE:
            return (one.text or "",) if _is_there(state) else ()
        case Deed.DELETE:
            return (state, DELETED) if state == NEVER else (DELETED,)


def _is_there(state: State) -> bool:
    return state not in {NEVER, DELETED}
