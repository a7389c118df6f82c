"""The class of a call: who waits when there is too much to do. docs/design/flow.md."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from tandem.options.v1 import options_pb2 as options

HEADER = "x-tandem-priority"


class Priority(enum.IntEnum):
    """The greater waits for the lesser. The numbers are the contract's."""

    INTERACTIVE = options.PRIORITY_INTERACTIVE
    STANDARD = options.PRIORITY_STANDARD
    BATCH = options.PRIORITY_BATCH

    @classmethod
    def of(cls, said: int) -> Priority:
        """What a contract says; STANDARD where it does not."""
        return cls(said) if said else cls.STANDARD

    @property
    def word(self) -> str:
        """As the header has it."""
        return self.name.lower()

    @property
    def header(self) -> tuple[str, str]:
        """What a call carries that is of this class: `metadata=(Priority.BATCH.header,)`."""
        return HEADER, self.word


WORDS = {one.word: one for one in Priority}


def handed_on(
    headers: Iterable[tuple[str, str | bytes]] | None, served: Priority, usual: Priority | None
) -> tuple[tuple[str, str | bytes], ...]:
    """The headers of a call that is made while one of class `served` is: of that class, or of a
    lesser one where the caller says so, which it never raises. Nothing is sent where the callee
    takes it for `usual` that its calls are of this class.
    """
    kept: list[tuple[str, str | bytes]] = []
    mine = served
    for key, value in headers or ():
        if key != HEADER:
            kept.append((key, value))
        elif (said := WORDS.get(str(value))) is None:
            return tuple(headers or ())  # whoever serves it says what is wrong with it
        else:
            mine = max(mine, said)
    if mine is not usual:
        kept.append(mine.header)
    return tuple(kept)
