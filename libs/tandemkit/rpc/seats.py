"""Who answers the calls of a mounted agent: its servicer, the one that is built after it, or nobody
for a while.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from tandemkit.core.errors import Bug
from tandemkit.rpc.calls import Serve
from tandemkit.rpc.context import Context
from tandemkit.rpc.contract import Contract, Method
from tandemkit.rpc.failure import Refusal
from tandemkit.rpc.room import Room


class Seat:
    """The place of one agent in a server, which outlives its servicers. Raises Bug for one that
    does not implement the contract. Without a servicer it is to be left at once, until one comes.
    """

    def __init__(self, contract: Contract, servicer: object | None) -> None:
        self._contract = contract
        self._rooms = {method.name: Room(method) for method in contract.methods}
        self._serves = {} if servicer is None else self._implementations(servicer)

    @property
    def rooms(self) -> tuple[Room, ...]:
        return tuple(self._rooms.values())

    @property
    def service(self) -> str:
        """Full name of the contract's."""
        return str(self._contract.service.full_name)

    def room(self, method: Method) -> Room:
        return self._rooms[method.name]

    def serve(self, method: Method) -> Serve:
        """Calls whoever sits there when the call comes."""
        name = method.name

        def serve(request: Any, context: Context) -> Any:
            return self._serves[name](request, context)

        return serve

    def take(self, servicer: object) -> None:
        """Calls go to this one from now on."""
        self._serves = self._implementations(servicer)
        for room in self.rooms:
            room.reopen()

    def close(self, refusal: Refusal) -> None:
        """Others are refused until somebody takes it again; calls in progress may finish."""
        for room in self.rooms:
            room.close(refusal)

    def holds(self, task: asyncio.Task[Any]) -> bool:
        """Whether the task is a call in progress here. May be asked from any thread."""
        return any(room.holds(task) for room in self.rooms)

    def limit(self, calls_max: int) -> None:
        """Calls of one method in progress that policy lets in; 0: as the contract says."""
        for room in self.rooms:
            room.limit(calls_max)

    def drain(self) -> None:
        """Ends calls that have no end of their own."""
        for room in self.rooms:
            room.drain()

    @property
    def is_busy(self) -> bool:
        """Whether calls are in progress."""
        return self.calls > 0

    @property
    def calls(self) -> int:
        """How many are in progress."""
        return sum(room.calls for room in self.rooms)

    @property
    def passing(self) -> int:
        """How many of those in progress have an end of their own, which a watch has not."""
        timed = (one for one in self._contract.methods if one.deadline_s is not None)
        return sum(self._rooms[one.name].calls for one in timed)

    @property
    def entered_s(self) -> float | None:
        """When the latest call came, by the stopwatch; None where none has."""
        entered = (room.entered_s for room in self.rooms)
        return max((one for one in entered if one is not None), default=None)

    def leave(self, refusal: Refusal) -> None:
        """Calls in progress end, and others are refused, until somebody takes it again."""
        for room in self.rooms:
            room.shut(refusal)

    def _implementations(self, servicer: object) -> dict[str, Serve]:
        return {method.name: _implementation(method, servicer) for method in self._contract.methods}


def _implementation(method: Method, servicer: object) -> Serve:
    serve = getattr(servicer, method.name, None)
    fits = inspect.isasyncgenfunction if method.server_streaming else inspect.iscoroutinefunction
    if serve is None or not fits(serve):
        wanted = "an async generator" if method.server_streaming else "a coroutine"
        raise Bug(
            "the servicer does not implement its contract",
            rpc=method.path,
            servicer=type(servicer).__qualname__,
            wanted=wanted,
        )
    found: Serve = serve
    return found
