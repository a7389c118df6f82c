"""What an agent keeps over its own death: opened when it first asks, closed behind all else."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tandem.fleet.v1.state_pb2 import StateStore
from tandemkit.core.errors import Bug
from tandemkit.storage.state import stores
from tandemkit.storage.state.owned import State


class Kept:
    """The state of one life of an agent, from `chosen`, which is the fleet's choice."""

    def __init__(self, chosen: StateStore, owner: str, folder: Path) -> None:
        self._chosen, self._owner, self._folder = chosen, owner, folder
        self._stack = AsyncExitStack()
        self._task = asyncio.current_task()
        self._state: State | None = None

    async def state(self) -> State:
        """The same one each time. Raises what opening it does, and Bug outside of `build`: what it
        runs is ended with the task that opened it.
        """
        if self._state is None:
            if asyncio.current_task() is not self._task:
                raise Bug("an agent asks for its state in `build` first", agent=self._owner)
            store = stores.opened(self._chosen, self._owner, self._folder)
            self._state = State(await self._stack.enter_async_context(store))
        return self._state

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, traceback)
