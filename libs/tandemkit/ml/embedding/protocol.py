"""What every embedder promises. docs/design/embedding.md says how each backend keeps it.

One conformance suite, tests/contract/embedding, holds all backends to these sentences.
"""

from __future__ import annotations

import enum
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from tandemkit.reach.failure import Refused

# Numbers of 32 bits.
Vector: TypeAlias = "array[float]"


class Purpose(enum.Enum):
    """What a text is embedded for. Some models embed a question unlike what answers it."""

    PASSAGE = enum.auto()
    QUERY = enum.auto()


class Lane(enum.IntEnum):
    """Who waits: an embedder computes both at once, BULK with less of the CPU."""

    PROMPT = 0
    BULK = 1


@dataclass(frozen=True, slots=True)
class Space:
    """What vectors have in common that may be compared. `dimension` is 0 where it is not known
    before the model was first used.
    """

    model: str
    version: str
    dimension: int


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vector of one text, of length 1. `tokens` of it count, 0 where the server does not say;
    the rest was cut off where `is_truncated`.
    """

    vector: Vector
    tokens: int
    is_truncated: bool


class ModelMissing(Refused):
    """Files of the model are not there. They may come while the process runs."""


class TextRefused(Refused):
    """One of the texts is at fault. Those beside it may be embedded without it."""


class Embedder(Protocol):
    """One model. Equal texts have equal vectors, whatever they are embedded together with, to the
    last digits of a float.
    """

    # Most texts that are worth a call; more are embedded all the same.
    batch_max: int
    # Calls in each lane that are worth being in progress at a time.
    at_once: int
    # Tokens of a text that count; 0 where its server knows.
    tokens_max: int

    @property
    def space(self) -> Space:
        """The space of its vectors; of a server before its first answer, without what that says."""

    @property
    def is_loaded(self) -> bool:
        """Whether it is in memory; a server's counts as that."""

    def phrased(self, text: str, purpose: Purpose) -> str:
        """What is to be embedded for that purpose."""

    async def embed(self, texts: Sequence[str], lane: Lane = Lane.PROMPT) -> list[Embedded]:
        """One for each text, in their order; loads the model if need be. Raises Unreachable,
        ModelMissing, TextRefused, and Refused for what will not work until somebody acts.
        """

    async def check(self) -> None:
        """Raises ModelMissing where it plainly cannot embed. Loads nothing, and asks no server."""

    async def unload(self) -> None:
        """Gives its memory back; the next call loads it again."""


def of_length_1(numbers: Sequence[float]) -> Vector:
    """Raises ValueError for what has no direction."""
    length = math.sqrt(math.fsum(one * one for one in numbers))
    if not 0 < length < math.inf:
        message = "a vector without a direction"
        raise ValueError(message)
    return array("f", [one / length for one in numbers])
