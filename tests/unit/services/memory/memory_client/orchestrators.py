"""An orchestrator of memories that can be away, slow or unwilling, and counts what it did."""

from __future__ import annotations

import asyncio
from typing import Any

from tandem.memory.v1 import errors_pb2 as errors
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1.memory_pb2 import Memory, MemoryHit
from tandem.platform.v1 import event_store_service_pb2 as store
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting.agent import Agent
from tandemkit.testing.agents import fake_agent


class FakeOrchestrator:
    """As far as the client needs it, by the words of its contract."""

    def __init__(self) -> None:
        self.memories: dict[str, Memory] = {}
        self.deleted: set[str] = set()
        self.is_away = False
        # What is answered waits for it; what was asked is done.
        self.answers = asyncio.Event()
        self.answers.set()
        self.calls: list[str] = []
        # Writes that changed something.
        self.done: list[tuple[str, str]] = []
        # Contents of events, by their message.
        self.events: list[tuple[str, bytes]] = []
        self._requests: dict[str, set[str]] = {}
        self._added: dict[str, pb.AddMemoryRequest] = {}

    @property
    def agent(self) -> Agent:
        return fake_agent(
            pb.DESCRIPTOR,
            AddMemory=self._add,
            GetMemory=self._get,
            UpdateMemory=self._update,
            DeleteMemory=self._delete,
            SearchMemories=self._search,
        )

    @property
    def event_store(self) -> Agent:
        """Takes what is recorded."""

        async def append(request: Any, _context: Any) -> Any:
            self.events += [(one.content.schema, one.content.content) for one in request.events]
            return store.AppendEventsResponse()

        return fake_agent(store.DESCRIPTOR, AppendEvents=append)

    @property
    def texts(self) -> dict[str, str]:
        return {name.rpartition("/")[2]: one.text for name, one in self.memories.items()}

    async def _add(self, request: pb.AddMemoryRequest, _context: Any) -> pb.AddMemoryResponse:
        name = f"namespaces/{request.namespace}/memories/{request.memory_id}"
        self._asked("add")
        was_there = name in self.memories
        if name in self.deleted:
            raise CallerError(errors.ERROR_REASON_MEMORY_DELETED, "it was deleted")
        if was_there and self._added.get(name) != request:
            raise CallerError(errors.ERROR_REASON_MEMORY_EXISTS, "another one", name=name)
        if not was_there:
            memory = Memory()
            memory.CopyFrom(request.memory)
            memory.name, memory.version = name, 1
            self.memories[name] = memory
            self._added[name] = request
            self.done.append(("add", request.memory_id))
        await self.answers.wait()
        return pb.AddMemoryResponse(memory=self.memories[name], was_there=was_there)

    async def _get(self, request: pb.GetMemoryRequest, _context: Any) -> pb.GetMemoryResponse:
        self._asked("get")
        await self.answers.wait()
        return pb.GetMemoryResponse(memory=self._found(request.name))

    async def _update(
        self, request: pb.UpdateMemoryRequest, _context: Any
    ) -> pb.UpdateMemoryResponse:
        self._asked("update")
        memory = self._found(request.name)
        requests = self._requests.setdefault(request.name, set())
        if request.request_id not in requests:
            self._expect(memory, request.expected_version)
            requests.add(request.request_id)
            request.update_mask.MergeMessage(
                request.memory, memory, replace_message_field=True, replace_repeated_field=True
            )
            memory.version += 1
            self.done.append(("update", request.name.rpartition("/")[2]))
        await self.answers.wait()
        return pb.UpdateMemoryResponse(memory=memory)

    async def _delete(
        self, request: pb.DeleteMemoryRequest, _context: Any
    ) -> pb.DeleteMemoryResponse:
        self._asked("delete")
        memory = self.memories.get(request.name)
        if memory is not None:
            self._expect(memory, request.expected_version)
            del self.memories[request.name]
            self.deleted.add(request.name)
            self.done.append(("delete", request.name.rpartition("/")[2]))
        await self.answers.wait()
        return pb.DeleteMemoryResponse(was_there=memory is not None)

    async def _search(
        self, request: pb.SearchMemoriesRequest, _context: Any
    ) -> pb.SearchMemoriesResponse:
        self._asked("search")
        await self.answers.wait()
        asked = set(request.query.split())
        found = (one for one in self.memories.values() if asked & set(one.text.split()))
        return pb.SearchMemoriesResponse(hits=[MemoryHit(memory=one) for one in found])

    def _asked(self, method: str) -> None:
        self.calls.append(method)
        if self.is_away:
            reason = errors.ERROR_REASON_STORE_UNREACHABLE
            raise TransientError(reason, "the store is away", retry_after_s=0.1)

    def _found(self, name: str) -> Memory:
        if name not in self.memories:
            raise CallerError(errors.ERROR_REASON_MEMORY_NOT_FOUND, "there is none", name=name)
        return self.memories[name]

    def _expect(self, memory: Memory, version: int) -> None:
        if version and version != memory.version:
            reason = errors.ERROR_REASON_MEMORY_VERSION_CONFLICT
            raise CallerError(reason, "another version", actual=memory.version)
