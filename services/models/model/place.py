"""A backend, and how it fares."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from tandem.models.v1 import model_pb2 as nouns
from tandemkit.core.clock import Clock
from tandemkit.ml.generation.openai_form import KEY_MISSING
from tandemkit.ml.generation.protocol import Backend, ModelCard
from tandemkit.ml.servers.server import Crowded, Passing
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.rpc.breaker import Breaker, Patience
from tandemkit.supervise.errands import Errands

# The failures of one request open it: a backend that is away costs others nothing, and is asked
# again by one request at a time. docs/design/models.md has the sums.
PATIENCE: Final = Patience(failures_min=3, row_s_min=0.0, open_s_min=20.0, open_s_max=60.0)
# Where it costs next to nothing to learn that one is away: at a port of this machine, which its
# user opens at some time, and within the fleet, whose mesh has breakers of its own.
NO_END: Final = Patience(failures_min=sys.maxsize)
_MISSED_S: Final = 2.0
_LISTED_S: Final = 30.0
# One that takes connections and says nothing keeps nobody from the next for longer.
LISTING_S: Final = 4.0
AT_ONCE: Final = 32


class LeftAlone(Passing):
    """It did not answer several times, and nothing was sent there now."""


class Full(Crowded):
    """Nothing was sent there now: there was no seat for it in time."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the settings say of a backend. `models` are all that it has, none where it lists them
    itself; `has_key` says whether its key has a value. After how many failures it is left alone is
    its `patience`. It lists its models within `listing_s`. One that `is_optional` nobody asked for.
    """

    name: str
    at_once_max: int = AT_ONCE
    models: Sequence[str] = ()
    has_key: Callable[[], bool] = lambda: True
    patience: Patience = PATIENCE
    listing_s: float = LISTING_S
    is_optional: bool = False


@dataclass(slots=True)
class Figures:
    """Since the agent started."""

    attempts: int = 0
    failures: int = 0
    in_progress: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Place:
    """Requests of all callers go through here. One event loop makes it safe without a lock."""

    def __init__(self, terms: Terms, backend: Backend, clock: Clock) -> None:
        self.name, self.backend, self.figures = terms.name, backend, Figures()
        self._terms, self._clock = terms, clock
        self._seats = asyncio.Semaphore(terms.at_once_max)
        self._breaker = Breaker(terms.name, "model", clock, terms.patience)
        self._cause = ""
        self._is_asked = False
        self._cards: Sequence[ModelCard] = [ModelCard(one) for one in terms.models]
        self._listed_s: float | None = None
        self._missed_s: float | None = None
        # Why the last list is none, and the one that is being asked for.
        self._unlisted = ""
        self._listing: asyncio.Task[None] | None = None
        self._errands = Errands()

    async def end(self) -> None:
        """Of what it began by itself."""
        await self._errands.end(0)

    @asynccontextmanager
    async def attempt(self, wait_s: float, *, is_again: bool = False) -> AsyncIterator[None]:
        """A seat for one request, once there is one within `wait_s`; what comes of it is noted. One
        that was sent before is sent again though others are not: they may all have failed at once.
        Raises LeftAlone, Full.
        """
        await self._seated(wait_s)
        self.figures.in_progress += 1
        try:
            if not is_again:
                self._admit()
            self.figures.attempts += 1
            yield
        except LeftAlone:
            raise
        except Unreachable as error:
            self._failed(error)
            raise
        except Refused:
            self.answered()
            raise
        else:
            self.answered()
        finally:
            self.figures.in_progress -= 1
            self._seats.release()

    def answered(self) -> None:
        """It did, if only with the first word of a stream."""
        self._is_asked, self._cause, self._missed_s = True, "", None
        self._breaker.answered()

    @property
    def is_optional(self) -> bool:
        """Whether nobody misses it where it is not there."""
        return self._terms.is_optional

    async def listed(self) -> tuple[Sequence[ModelCard], str]:
        """Its models, as it listed them within the last while, or why there are none."""
        if self._terms.models:
            return self._cards, ""
        now_s = self._clock.monotonic_s()
        if self._missed_s is not None and now_s - self._missed_s < _MISSED_S:
            return (), "it was not there a moment ago"
        if self._listed_s is None or now_s - self._listed_s >= _LISTED_S:
            # Others wait for the same: who leaves takes it from nobody.
            self._listing = self._listing or self._errands.start(self._list())
            await asyncio.shield(self._listing)
            if self._unlisted:
                return (), self._unlisted
        return self._cards, ""

    def look(self) -> nouns.Backend:
        """How it is, asking nobody."""
        nature, figures, view = self.backend.nature, self.figures, self._breaker.view()
        found = nouns.Backend(
            name=self.name,
            kind=nature.kind,
            address=nature.address,
            cause=self._cause,
            asked_again_in_s=view.open_for_s,
            attempts=figures.attempts,
            failures=figures.failures,
            in_progress=figures.in_progress,
        )
        if not self._terms.has_key():
            found.state, found.cause = nouns.BACKEND_STATE_KEY_MISSING, KEY_MISSING
        elif view.open_for_s:
            found.state = nouns.BACKEND_STATE_LEFT_ALONE
        elif self._cause:
            found.state = nouns.BACKEND_STATE_UNREACHABLE
        elif self._is_asked:
            found.state = nouns.BACKEND_STATE_SERVING
        return found

    async def _list(self) -> None:
        self._unlisted = ""
        try:
            async with self.attempt(_LISTED_S):
                self._cards = await self._asked()
            self._listed_s = self._clock.monotonic_s()
        except (Unreachable, Refused) as error:
            self._unlisted = error.message
        finally:
            self._listing = None

    async def _asked(self) -> Sequence[ModelCard]:
        within_s = self._terms.listing_s
        try:
            async with asyncio.timeout(within_s):
                return await self.backend.models()
        except TimeoutError as error:
            message = "the backend does not say in time which models it has"
            raise Passing(message, backend=self.name, within_s=within_s) from error

    async def _seated(self, wait_s: float) -> None:
        if not self._seats.locked():
            await self._seats.acquire()
            return
        try:
            async with asyncio.timeout(wait_s):
                await self._seats.acquire()
        except TimeoutError as error:
            message = "as many requests are at the backend as its settings allow, and none ended"
            at_once_max = self._terms.at_once_max
            raise Full(message, backend=self.name, at_once_max=at_once_max) from error

    def _admit(self) -> None:
        if alone_s := self._breaker.refused_for_s():
            message = "the backend did not answer, and is left alone for a while"
            raise LeftAlone(message, alone_s, backend=self.name, cause=self._cause)

    def _failed(self, error: Unreachable) -> None:
        self.figures.failures += 1
        if isinstance(error, Crowded):
            self.answered()
            return
        self._is_asked, self._cause, self._listed_s = True, str(error), None
        self._missed_s = self._clock.monotonic_s() if self.is_optional else None
        self._breaker.failed("UNAVAILABLE")
