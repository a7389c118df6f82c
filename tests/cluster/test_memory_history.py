"""The checker of histories sees each kind of fault, and nothing where there is none."""

from __future__ import annotations

import random

import pytest

from tests.cluster.memory_history import Deed, Heard, Operation, faults, is_linear, repeated

ADD, UPDATE, DELETE, READ = Deed.ADD, Deed.UPDATE, Deed.DELETE, Deed.READ


def did(
    deed: Deed,
    began_s: float,
    ended_s: float,
    text: str | None = None,
    heard: Heard = Heard.DONE,
) -> Operation:
    return Operation("m", deed, heard, began_s, ended_s, text)


SOUND = {
    "read behind the write": [did(ADD, 0, 1, "a"), did(READ, 2, 3, "a")],
    "read beside the write": [did(ADD, 0, 5, "a"), did(READ, 1, 2), did(READ, 3, 4, "a")],
    "a write of unknown end, done late": [
        did(ADD, 0, 1, "a"),
        did(UPDATE, 2, 3, "b", Heard.UNKNOWN),
        did(READ, 4, 5, "a"),
        did(READ, 6, 7, "b"),
    ],
    "a write of unknown end, never done": [
        did(ADD, 0, 1, "a", Heard.UNKNOWN),
        did(READ, 2, 3),
    ],
    "a deletion, and what is refused behind it": [
        did(ADD, 0, 1, "a"),
        did(DELETE, 2, 3),
        did(READ, 4, 5),
        did(UPDATE, 4, 5, "b", Heard.REFUSED),
        did(ADD, 6, 7, "a", Heard.REFUSED),
    ],
    "an addition that is repeated behind an update": [
        did(ADD, 0, 1, "a"),
        did(UPDATE, 2, 3, "b"),
        did(ADD, 4, 5, "a"),
        did(READ, 6, 7, "b"),
    ],
}
BROKEN = {
    "an acknowledged memory is lost": [did(ADD, 0, 1, "a"), did(READ, 2, 3)],
    "an acknowledged update is lost": [
        did(ADD, 0, 1, "a"),
        did(UPDATE, 2, 3, "b"),
        did(READ, 4, 5, "a"),
    ],
    "a deleted memory returns": [
        did(ADD, 0, 1, "a"),
        did(DELETE, 2, 3),
        did(READ, 4, 5, "a"),
    ],
    "a repeated addition brings a deleted memory back": [
        did(ADD, 0, 1, "a"),
        did(DELETE, 2, 3),
        did(ADD, 4, 5, "a"),
    ],
    "one replica sees a write, and then another does not": [
        did(ADD, 0, 9, "a"),
        did(READ, 1, 2, "a"),
        did(READ, 3, 4),
    ],
    "a text that nobody wrote": [did(ADD, 0, 1, "a"), did(READ, 2, 3, "c")],
    "an update is refused though it is there": [
        did(ADD, 0, 1, "a"),
        did(UPDATE, 2, 3, "b", Heard.REFUSED),
    ],
    "a write of unknown end comes, goes, and comes again": [
        did(ADD, 0, 1, "a"),
        did(UPDATE, 2, 3, "b", Heard.UNKNOWN),
        did(READ, 4, 5, "b"),
        did(READ, 6, 7, "a"),
    ],
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_history_has_no_fault(name: str) -> None:
    """An order explains it."""
    assert faults(SOUND[name]) == []


@pytest.mark.parametrize("name", BROKEN)
def test_each_fault_is_found(name: str) -> None:
    """By the memory that it happened to, with all that was done to it."""
    (fault,) = faults(BROKEN[name])
    assert fault.startswith("m: no order")
    assert fault.count("\n") == len(BROKEN[name])


def test_what_one_after_the_other_did_is_always_explained() -> None:
    """A thousand histories of one register, with begins and ends drawn around each moment."""
    draw = random.Random(20261122)
    for _ in range(1000):
        assert is_linear(_history(draw))


def _history(draw: random.Random) -> list[Operation]:
    text: str | None = None
    is_deleted = False
    told = []
    for moment in range(draw.randint(1, 12)):
        deed = draw.choice(list(Deed))
        heard, said = Heard.DONE, text
        if deed is ADD:
            heard = Heard.REFUSED if is_deleted else Heard.DONE
            said = "first"
            text = text or (None if is_deleted else "first")
        elif deed is UPDATE:
            heard = Heard.REFUSED if text is None else Heard.DONE
            said = str(moment)
            text = None if text is None else said
        elif deed is DELETE:
            is_deleted, text = is_deleted or text is not None, None
        began_s, ended_s = moment - draw.random() * 3, moment + draw.random() * 3
        told.append(did(deed, began_s, ended_s, said, heard))
    return sorted(told, key=lambda one: one.began_s)


def test_a_memory_that_is_listed_twice_is_told() -> None:
    """What is duplicated has a name."""
    assert repeated(["a", "b", "a"]) == ["a"]
