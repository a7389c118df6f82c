"""Replicas of the agent of memories on one store, and callers who note what they did and heard."""

from __future__ import annotations

import random
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToJson

from tandem.fleet.v1 import state_pb2 as cfg
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_orchestrator_service_pb2_grpc as rpc
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.core.clock import SystemClock
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.testing.failures import failure_of
from tandemkit.testing.parts import free_ports
from tests.cluster import memory_host
from tests.cluster.memory_history import Deed, Heard, Operation

_CLOCK = SystemClock()
_CALL_S = 4.0
# Memories that are called for by turns, and how often each is.
_AT_A_TIME, _DEEDS_EACH = 6, 30
_GONE = {"MEMORY_NOT_FOUND", "MEMORY_DELETED"}
_SILENCE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
}


class Replica:
    """A host with the agent alone. It may be killed, and starts again where it was."""

    def __init__(
        self, name: str, folder: Path, store: cfg.StateStore, stack: AsyncExitStack
    ) -> None:
        (port,) = free_ports(1)
        self.address = f"127.0.0.1:{port}"
        self._name, self._folder, self._stack = name, folder, stack
        self._store = folder / f"{name}.store.json"
        self._store.write_text(MessageToJson(store))
        self._process: Process | None = None

    async def start(self) -> None:
        log = self._folder / f"{self._name}.log"
        log.unlink(missing_ok=True)
        where = ("--listen", self.address, "--state", str(self._folder / self._name), "--open")
        store = ("--state-store", str(self._store))
        argv = (sys.executable, "-m", memory_host.__name__, *where, *store)
        environment = {"PYTHONPATH": ":".join(sys.path), "HOME": str(self._folder)}

        async def serves() -> None:
            assert "host.serving" in log.read_text()

        command = Command(argv, log, env=environment)
        entered = supervised_process(command, ready=serves)
        self._process = await self._stack.enter_async_context(entered)

    async def kill(self) -> None:
        """Without a word, in whatever it does."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()


@dataclass
class Callers:
    """Who calls, and what they noted. Each memory has a word of its own that all its texts have."""

    addresses: Sequence[str]
    draw: random.Random
    told: list[Operation] = field(default_factory=list)
    _stubs: dict[str, Any] = field(default_factory=dict)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            # A replica that is back is to be found at once.
            quick = (
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 300),
            )
            for address in self.addresses:
                channel = grpc.aio.insecure_channel(address, options=quick)
                await stack.enter_async_context(channel)
                self._stubs[address] = rpc.MemoryOrchestratorServiceStub(channel)
            yield

    @property
    def memories(self) -> int:
        """Number of the last one that is called for now."""
        return _AT_A_TIME + len(self.told) // _DEEDS_EACH

    async def call(self, number: int, until: Callable[[], bool]) -> None:
        """One caller, until it is told to stop."""
        turn = 0
        while not until():
            turn += 1
            # Some at a time, and soon others: a history that is too long cannot be judged.
            memory = f"m{self.memories - self.draw.randrange(_AT_A_TIME)}"
            deed = self.draw.choices(list(Deed), (3, 6, 1, 12))[0]
            await self.deed(memory, deed, f"{memory} as {number} wrote it in turn {turn}")

    async def deed(self, memory: str, deed: Deed, text: str) -> None:
        """At a replica drawn at random; what is not heard is asked again at times."""
        stub = self._stubs[self.draw.choice(self.addresses)]
        began_s = _CLOCK.monotonic_s()
        try:
            read = await self._made(stub, memory, deed, text)
        except grpc.aio.AioRpcError as error:
            heard = _heard(error)
            read = None
            if heard is Heard.UNKNOWN:
                # Whoever asks a host that is down asks again soon enough.
                await _CLOCK.sleep(0.1)
        else:
            heard = Heard.DONE
        if deed is Deed.READ and heard is Heard.REFUSED:
            heard = Heard.DONE
        said = read if deed is Deed.READ else _written(memory, deed, text)
        self.told.append(Operation(memory, deed, heard, began_s, _CLOCK.monotonic_s(), said))

    async def _made(self, stub: Any, memory: str, deed: Deed, text: str) -> str | None:
        name = f"namespaces/default/memories/{memory}"
        match deed:
            case Deed.ADD:
                said = nouns.Memory(text=_written(memory, deed, text))
                await stub.AddMemory(
                    pb.AddMemoryRequest(memory_id=memory, memory=said), timeout=_CALL_S
                )
            case Deed.UPDATE:
                request = pb.UpdateMemoryRequest(
                    name=name,
                    memory=nouns.Memory(text=text),
                    update_mask=FieldMask(paths=["text"]),
                )
                await stub.UpdateMemory(request, timeout=_CALL_S)
            case Deed.DELETE:
                await stub.DeleteMemory(pb.DeleteMemoryRequest(name=name), timeout=_CALL_S)
            case Deed.READ if self.draw.random() < 0.5:
                got = await stub.GetMemory(pb.GetMemoryRequest(name=name), timeout=_CALL_S)
                return str(got.memory.text)
            case Deed.READ:
                wanted = pb.SearchMemoriesRequest(query=memory, limit=100)
                found = await stub.SearchMemories(wanted, timeout=_CALL_S)
                texts = [one.memory.text for one in found.hits if one.memory.name == name]
                assert len(texts) <= 1, "one memory, found twice"
                return texts[0] if texts else None
        return None

    async def listed(self, address: str) -> list[str]:
        """Names of all memories, as that replica has them. Raises ConnectionError."""
        try:
            told = await self._stubs[address].ListMemories(
                pb.ListMemoriesRequest(page_size=1000), timeout=_CALL_S
            )
        except grpc.aio.AioRpcError as error:
            raise ConnectionError(str(error.details())) from error
        return [one.name for one in told.memories]

    async def look(self, address: str) -> None:
        """Notes what that replica has of every memory, by name and by search."""
        known, self.addresses = self.addresses, [address]
        began = len(self.told)
        for number in range(self.memories + 1):
            for _ in range(2):
                await self.deed(f"m{number}", Deed.READ, "")
        self.addresses = known
        assert all(one.heard is Heard.DONE for one in self.told[began:]), "it was at peace"


def _written(memory: str, deed: Deed, text: str) -> str:
    # The same of everybody: an addition is repeated until somebody hears of it.
    return f"{memory} as it was added" if deed is Deed.ADD else text


def _heard(error: grpc.aio.AioRpcError) -> Heard:
    if error.code() in _SILENCE:
        return Heard.UNKNOWN
    if failure_of(error).reason in _GONE:
        return Heard.REFUSED
    raise error
