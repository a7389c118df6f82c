"""Calls of the orchestrator, and what their failures mean here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.message import Message

from services.memory.memory_client.line import Line
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1.journal_pb2 import JournalEntry
from tandem.memory.v1.memory_pb2 import Memory
from tandemkit.core.errors import Failure
from tandemkit.rpc.failure import Refused
from tandemkit.rpc.remote import CallFailed, RemoteFailure, calling

_SHARE: Final = 0.6
# It failed without understanding why: it may not fail again.
UNSURE: Final = frozenset({"INTERNAL", "UNKNOWN", "CANCELLED", "DATA_LOSS"})


class Away(Failure):
    """It did not answer in time, or not at all. What was asked for may have happened."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What it made of a write; a deletion leaves no memory."""

    memory: Memory | None = None
    was_there: bool = False
    remains: list[str] = field(default_factory=list)


class Orchestrator:
    """Raises Away, and Refused with what it said."""

    def __init__(self, stub: Any, line: Line, patience_s: float) -> None:
        self._stub, self._line, self.patience_s = stub, line, patience_s

    def within_s(self, left_s: float | None) -> float:
        """How long a call of it may take whose caller has so long: with room for what is done
        instead.
        """
        return self.patience_s if left_s is None else min(self.patience_s, left_s * _SHARE)

    async def write(self, entry: JournalEntry, within_s: float) -> Stored:
        """Sends it as it is."""
        match entry.WhichOneof("write"):
            case "add":
                added = await self._asked(self._stub.AddMemory, entry.add, within_s)
                return Stored(added.memory, added.was_there)
            case "update":
                updated = await self._asked(self._stub.UpdateMemory, entry.update, within_s)
                return Stored(updated.memory, was_there=True)
            case _:
                deleted = await self._asked(self._stub.DeleteMemory, entry.delete, within_s)
                return Stored(None, deleted.was_there, list(deleted.remains))

    async def memory(self, name: str, within_s: float) -> Memory:
        request = pb.GetMemoryRequest(name=name)
        found: pb.GetMemoryResponse = await self._asked(self._stub.GetMemory, request, within_s)
        return found.memory

    async def search(
        self, request: pb.SearchMemoriesRequest, within_s: float
    ) -> pb.SearchMemoriesResponse:
        found: pb.SearchMemoriesResponse = await self._asked(
            self._stub.SearchMemories, request, within_s
        )
        return found

    async def _asked(self, method: Any, request: Message, within_s: float) -> Any:
        with self._telling(is_hurried=within_s < self.patience_s):
            return await method(request, timeout=within_s)

    @contextmanager
    def _telling(self, *, is_hurried: bool) -> Iterator[None]:
        """The line hears of each call: a refusal is an answer too. That a caller had no time says
        nothing of it.
        """
        try:
            with calling():
                yield
        except CallFailed as error:
            found = error.found
            if not found.is_away:
                self._line.answered()
                raise Refused(found.as_said) from error
            if not (is_hurried and found.code.name == "DEADLINE_EXCEEDED"):
                self._line.lost(_cause(found))
            raise Away("the orchestrator does not answer", cause=_cause(found)) from error
        self._line.answered()


def _cause(found: RemoteFailure) -> str:
    return "/".join(filter(None, (found.code.name, found.reason)))
