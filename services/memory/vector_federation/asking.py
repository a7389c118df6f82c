"""One search in one store, and what came of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import Enum

from services.memory.vector_federation.gate import Gate
from services.memory.vector_federation.source import OtherSpace, Source
from tandem.memory.v1 import federated_store_pb2 as nouns
from tandemkit.core.clock import Clock, stopwatch_s
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.storage.failure import Damaged
from tandemkit.storage.vectors.protocol import CollectionMissing, Hit, Query

ANSWERED, LACKING = nouns.STORE_STATE_ANSWERED, nouns.STORE_STATE_LACKING
LATE, FAILED, SKIPPED = (
    nouns.STORE_STATE_LATE,
    nouns.STORE_STATE_FAILED,
    nouns.STORE_STATE_SKIPPED,
)
UNKNOWN = frozenset({LATE, FAILED, SKIPPED})


class Fault(Enum):
    """Whose fault a failure is, where it is not the store's."""

    SPACE = "space"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`fault` of one that failed for no reason of its store's."""

    store: str
    state: nouns.StoreState.ValueType
    took_s: float = 0.0
    cause: str = ""
    hits: tuple[Hit, ...] = ()
    fault: Fault | None = None


@dataclass(slots=True)
class Counts:
    """What came of searches so far, and how long the last answer took."""

    by_state: dict[nouns.StoreState.ValueType, int] = field(default_factory=dict)
    last_s: float | None = None

    def add(self, outcome: Outcome) -> None:
        self.by_state[outcome.state] = self.by_state.get(outcome.state, 0) + 1
        if outcome.state in {ANSWERED, LACKING}:
            self.last_s = outcome.took_s


class Store:
    """A source with its name, its weight and how it does."""

    def __init__(self, name: str, weight: float, source: Source, clock: Clock) -> None:
        self.name, self.weight, self.source = name, weight, source
        self.gate, self.counts = Gate(clock), Counts()

    async def ask(self, collection: str, query: Query, within_s: float) -> Outcome:
        """Never raises what a store raises, and is over in time."""
        outcome = await self._asked(collection, query, within_s)
        if outcome.state == LATE:
            self.gate.late(within_s, outcome.cause)
        elif outcome.state == FAILED and outcome.fault is None:
            self.gate.failed(outcome.cause)
        else:
            self.gate.answered()
        self.counts.add(outcome)
        return outcome

    def skip(self) -> Outcome:
        """It is not waited for."""
        cause = f"it is left alone for a while: {self.gate.cause}"
        outcome = Outcome(self.name, SKIPPED, cause=cause)
        self.counts.add(outcome)
        return outcome

    async def _asked(self, collection: str, query: Query, within_s: float) -> Outcome:
        began_s = stopwatch_s()
        limit = asyncio.timeout(within_s)
        fault: Fault | None = None
        try:
            async with limit:
                hits = await self.source.search(collection, query)
                return Outcome(self.name, ANSWERED, stopwatch_s() - began_s, hits=hits)
        except CollectionMissing:
            return Outcome(self.name, LACKING, stopwatch_s() - began_s)
        except TimeoutError:
            if limit.expired():
                cause = f"it did not answer within {within_s:.3f} s"
                return Outcome(self.name, LATE, stopwatch_s() - began_s, cause)
            cause = "it did not answer in the time that its driver gives it"
        except OtherSpace as error:
            cause, fault = str(error), Fault.SPACE
        except ValueError as error:
            cause, fault = str(error), Fault.REQUEST
        except (Unreachable, Refused, Damaged) as error:
            cause = str(error)
        return Outcome(self.name, FAILED, stopwatch_s() - began_s, cause, fault=fault)
