"""Writes that wait at the same time share one: the disk is slow by the write, not by its size."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from tandemkit.core.errors import Failure
from tandemkit.reach.failure import Unreachable

Wanted = TypeVar("Wanted")
Done = TypeVar("Done")
_BATCH_MAX = 1000


class GroupCommit(Generic[Wanted, Done]):
    """`commit` does many at once and says what came of each, in their order; what it raises is
    everybody's.
    """

    def __init__(
        self, commit: Callable[[Sequence[Wanted]], Awaitable[Sequence[Done | Failure]]]
    ) -> None:
        self._commit = commit
        self._waiting: list[tuple[Wanted, asyncio.Future[Done | Failure]]] = []
        self._due = asyncio.Event()
        self._closed = False

    async def do(self, wanted: Wanted) -> Done:
        """May happen though its caller gave up."""
        if self._closed:
            raise Unreachable("the store is closed")
        answer: asyncio.Future[Done | Failure] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, answer))
        self._due.set()
        outcome = await answer
        if isinstance(outcome, Failure):
            raise outcome
        return outcome

    async def run(self) -> None:
        """Does what is wanted, until cancelled."""
        batch: list[tuple[Wanted, asyncio.Future[Done | Failure]]] = []
        try:
            while True:
                await self._due.wait()
                batch, self._waiting = self._waiting[:_BATCH_MAX], self._waiting[_BATCH_MAX:]
                if not self._waiting:
                    self._due.clear()
                _tell(batch, await self._outcomes([wanted for wanted, _ in batch]))
        finally:
            self._closed = True
            left = [*batch, *self._waiting]
            _tell(left, [Unreachable("the store closed")] * len(left))

    async def _outcomes(self, batch: Sequence[Wanted]) -> Sequence[Done | Failure]:
        try:
            return await self._commit(batch)
        except Failure as error:
            return [error] * len(batch)


def singly(
    commit: Callable[[Sequence[Wanted]], Awaitable[Sequence[Done]]], failure: type[Failure]
) -> Callable[[Sequence[Wanted]], Awaitable[Sequence[Done | Failure]]]:
    """The same, but that where several fail so each is tried alone: one may be to blame."""

    async def each(batch: Sequence[Wanted]) -> Sequence[Done | Failure]:
        try:
            return await commit(batch)
        except failure as error:
            if len(batch) == 1:
                return [error]
            return [outcome for one in batch for outcome in await each([one])]

    return each


def _tell(
    batch: Sequence[tuple[Wanted, asyncio.Future[Done | Failure]]],
    outcomes: Sequence[Done | Failure],
) -> None:
    for (_, answer), outcome in zip(batch, outcomes, strict=True):
        if not answer.done():
            answer.set_result(outcome)
