"""What every store of vectors promises. docs/design/vectors.md says how each backend keeps it.

One conformance suite, tests/contract/vectors, holds all backends to these sentences. numpy is
imported by who makes vectors or compares them, not by who names their types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias

from tandemkit.core.errors import Failure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# One dimension, 32 bits each.
Values: TypeAlias = "NDArray[np.float32]"

POINTS_MAX = 1000
HITS_MAX = 1000
PAGE_POINTS_MAX = 1000
DIMENSION_MAX = 4096
ID_BYTES_MAX = 255
LABELS_MAX = 64
LABEL_TEXTS_MAX = 256
LABEL_CHARS_MAX = 255
CONDITIONS_MAX = 16
CHOICES_MAX = 256

# Texts are a set: a condition holds if one of them fulfils it.
Label: TypeAlias = tuple[str, ...] | float


class Metric(StrEnum):
    """How alike two vectors are; more is more alike, in all three."""

    # From -1 to 1. A vector without length is refused.
    COSINE = "cosine"
    DOT = "dot"
    # The distance, negated: 0 is the most.
    L2 = "l2"


class Index(StrEnum):
    """How a collection is searched; a backend that has one way alone takes every value."""

    # Exact while it is small, by a graph when it has grown.
    AUTO = "auto"
    # Every vector is compared: exact, at a cost that grows with their number.
    FLAT = "flat"
    HNSW = "hnsw"
    IVF = "ivf"


@dataclass(frozen=True, slots=True)
class Space:
    """What made the vectors. Those of two spaces are never compared."""

    model: str
    version: str
    dimension: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a collection is, for as long as it exists."""

    space: Space
    metric: Metric = Metric.COSINE
    index: Index = Index.AUTO


@dataclass(frozen=True, slots=True)
class Point:
    """A vector with its name. As it was written: nothing is scaled in what is fetched."""

    id: str
    values: Values
    labels: Mapping[str, Label] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hit:
    id: str
    score: float
    labels: Mapping[str, Label]


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of the label's texts is one of these."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Within:
    """The label's number lies between these, both included."""

    least: float = float("-inf")
    most: float = float("inf")


@dataclass(frozen=True, slots=True)
class Present:
    """There is such a label."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A point without the label fulfils it only if it is negated."""

    key: str
    holds: OneOf | Within | Present
    negated: bool = False


# All hold; without a condition every point fulfils it.
Filter: TypeAlias = tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """The `k` points that are most like `values`, of those that fulfil `where`. `exact` has all of
    them compared, whatever the index.
    """

    values: Values
    space: Space
    k: int
    where: Filter = ()
    exact: bool = False


class SpaceMismatch(Failure):
    """The collection holds vectors of another space; nothing was done."""

    def __init__(self, expected: Space, actual: Space) -> None:
        super().__init__(
            "the collection holds vectors of another space",
            expected=f"{expected.model} {expected.version}, {expected.dimension} numbers",
            actual=f"{actual.model} {actual.version}, {actual.dimension} numbers",
        )


class CollectionMissing(Failure):
    """No collection has that name: it was never created, or dropped."""

    def __init__(self, name: str) -> None:
        super().__init__("there is no such collection", collection=name)


class CollectionDiffers(Failure):
    """A collection of that name has another metric or index; nothing was done."""

    def __init__(self, name: str, expected: Plan, actual: Plan) -> None:
        super().__init__(
            "a collection of that name has another metric or index",
            collection=name,
            expected=f"{expected.metric}, {expected.index}",
            actual=f"{actual.metric}, {actual.index}",
        )


class Full(Failure):
    """It would need more memory than the store may use; nothing was done."""


class Collection(Protocol):
    """Points by id. ValueError means that nothing was done: an argument that `checks` refuses.
    All raise Unreachable, after which reading shows whether a write happened, Refused, after which
    it did not, and CollectionMissing when it has been dropped.
    """

    name: str
    plan: Plan

    async def upsert(self, points: Sequence[Point], space: Space) -> None:
        """Writes 1 to POINTS_MAX points, over those that have their ids; all or, where Unreachable
        is raised, perhaps some. Kept and found when it returns. Raises SpaceMismatch, Full.
        """

    async def delete(self, ids: Sequence[str] = (), where: Filter | None = None) -> int:
        """Removes those that have one of `ids`, or those that fulfil `where`: one of the two is
        given. How many there were. They are in no answer and, of a store in files, in no file when
        it returns.
        """

    async def fetch(self, ids: Sequence[str]) -> tuple[Point, ...]:
        """Those that are there, in the order of `ids`."""

    async def page(
        self, after: str = "", limit: int = PAGE_POINTS_MAX, where: Filter = ()
    ) -> tuple[Point, ...]:
        """Those that stand behind `after` in the order of their ids, as UTF-8 sorts."""

    async def search(self, query: Query) -> tuple[Hit, ...]:
        """The best first, `k` of them where there are so many. With an approximate index it may
        miss some, and what it finds has its true score. Raises SpaceMismatch.
        """

    async def count(self, where: Filter = ()) -> int:
        """How many points there are now."""


class VectorStore(Protocol):
    """Collections by name. All raise Unreachable, Refused."""

    @property
    def remains(self) -> str:
        """What may still hold something of what was deleted, in a sentence; empty for nothing."""

    async def create(self, name: str, plan: Plan) -> Collection:
        """The collection, made if need be. Raises SpaceMismatch and CollectionDiffers where there
        is another one under that name, ValueError.
        """

    async def open(self, name: str) -> Collection:
        """Raises CollectionMissing, ValueError."""

    async def names(self) -> tuple[str, ...]:
        """Of all collections, sorted."""

    async def drop(self, name: str) -> bool:
        """Removes it with all that is in it; whether it was there."""

    async def check(self) -> None:
        """Raises what keeps it from being read."""
