"""NamespaceService with a registry that a test writes, and agents that keep content beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from services.memory.namespace.agent import AGENT
from tandem.control.v1 import errors_pb2 as control_errors
from tandem.control.v1 import registration_pb2 as hosts
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.memory.v1 import deletion_pb2 as nouns
from tandem.memory.v1 import errors_pb2 as errors
from tandem.memory.v1 import namespace_service_pb2 as pb
from tandem.memory.v1 import namespace_service_pb2_grpc as rpc
from tandem.memory.v1 import subject_pb2 as subject
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.contracts import StoredContract
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server
from tandemkit.storage.subjects import Mention, folded
from tandemkit.testing.agents import fake_agent, serving


def keeper_contract(name: str) -> Contract:
    """An agent that keeps content: nothing but the two methods."""
    pool: Any = subject.DESCRIPTOR.pool
    file = FileDescriptorProto(package="tandem.memory.v1", syntax="proto3")
    file.name = f"tandem/memory/v1/{name.lower()}_service.proto"
    file.dependency.append(subject.DESCRIPTOR.name)
    service = file.service.add(name=f"{name}Service")
    for verb, streams in (("Delete", False), ("Export", True)):
        method = service.method.add(name=f"{verb}Subject", server_streaming=streams)
        method.input_type = f".tandem.memory.v1.{verb}SubjectRequest"
        method.output_type = f".tandem.memory.v1.{verb}SubjectResponse"
    pool.AddSerializedFile(file.SerializeToString())
    return Contract.of(pool.FindFileByName(file.name))


CONTRACTS = [keeper_contract(name) for name in ("Shelf", "Drawer")]


@dataclass
class Kept:
    """A namespace, whom it is about, and a text."""

    namespace: str
    subject: str
    text: str

    def is_meant(self, request: Any) -> bool:
        if request.namespace != self.namespace:
            return False
        is_about = folded(self.subject) == folded(request.subject)
        mentioned = request.mentions and Mention(request.subject).is_in(self.text)
        return bool(request.whole_namespace or is_about or mentioned)


class FakeKeeper:
    """Keeps things in memory; while it is `away` it answers nobody. What it is given as `late`
    comes in behind its first deletion, as what was on its way does.
    """

    def __init__(self, contract: Contract) -> None:
        self.contract, self.away = contract, False
        self.kept: dict[str, Kept] = {}
        self.late: dict[str, Kept] = {}
        self.remains: list[str] = []
        self.asked = 0
        self.port = 0

    async def DeleteSubject(self, request: Any, _context: Any) -> subject.DeleteSubjectResponse:
        self._answer()
        self.asked += 1
        gone = [name for name, one in self.kept.items() if one.is_meant(request)]
        for name in gone:
            del self.kept[name]
        self.kept |= self.late
        self.late = {}
        return subject.DeleteSubjectResponse(deleted=len(gone), remains=self.remains)

    async def ExportSubject(self, request: Any, _context: Any) -> AsyncIterator[Any]:
        self._answer()
        for name, one in self.kept.items():
            if one.is_meant(request):
                agent = self.contract.service.full_name
                record = subject.SubjectRecord(agent=agent, name=name, message=one.text.encode())
                yield subject.ExportSubjectResponse(records=[record])

    def _answer(self) -> None:
        if self.away:
            reason = errors.ERROR_REASON_STORE_UNREACHABLE
            raise TransientError(reason, f"away with {self.kept}", retry_after_s=1.0)


@dataclass
class FakeRegistry:
    values: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    hosts: list[hosts.Host] = field(default_factory=list)
    is_away: bool = False

    def agent(self) -> Agent:
        return fake_agent(
            registry.DESCRIPTOR,
            GetValue=self._get,
            PutValue=self._put,
            DeleteValue=self._delete,
            WatchHosts=self._watch,
            WatchValue=self._watch_value,
        )

    def register(self, keeper: FakeKeeper, machine: str) -> None:
        stored = StoredContract.of(keeper.contract.service.file)
        self.values[f"contracts/{stored.digest}"] = stored.value.content, 1
        host = hosts.Host(name=f"hosts/{machine}", machine=machine, group=machine, port=keeper.port)
        host.address = "127.0.0.1"
        name = keeper.contract.service.full_name
        host.placements.add(service=name, serving=True, contract_digest=stored.digest)
        self.hosts.append(host)

    async def _get(self, request: Any, _context: Any) -> registry.GetValueResponse:
        self._answer()
        if request.key not in self.values:
            raise CallerError(control_errors.ERROR_REASON_VALUE_NOT_FOUND, "no such value")
        content, version = self.values[request.key]
        value = registry.StoredValue(content=content)
        return registry.GetValueResponse(value=value, version=version)

    async def _put(self, request: Any, _context: Any) -> registry.PutValueResponse:
        self._answer()
        _, version = self.values.get(request.key, (b"", 0))
        if request.HasField("expected_version") and request.expected_version != version:
            raise CallerError(control_errors.ERROR_REASON_VERSION_CONFLICT, "another version")
        self.values[request.key] = request.value.content, version + 1
        return registry.PutValueResponse(version=version + 1)

    async def _delete(self, request: Any, _context: Any) -> registry.DeleteValueResponse:
        self.values.pop(request.key, None)
        return registry.DeleteValueResponse()

    async def _watch(self, _request: Any, _context: Any) -> AsyncIterator[Any]:
        self._answer()
        told = registry.WatchHostsResponse()
        told.snapshot.hosts.extend(self.hosts)
        yield told

    async def _watch_value(self, request: Any, _context: Any) -> AsyncIterator[Any]:
        """As it is, once."""
        self._answer()
        content, version = self.values.get(request.key, (b"", 0))
        told = registry.WatchValueResponse(version=version)
        if version:
            told.value.content = content
        yield told

    def _answer(self) -> None:
        if self.is_away:
            reason = control_errors.ERROR_REASON_BACKEND_UNREACHABLE
            raise TransientError(reason, "away", retry_after_s=1.0)


@dataclass
class Fleet:
    """The agent as its callers see it; `again` is its next life."""

    folder: Path
    registry: FakeRegistry
    shelf: FakeKeeper
    drawer: FakeKeeper
    stub: rpc.NamespaceServiceAsyncStub

    async def forget(self, who: str, **more: Any) -> str:
        said = await self.stub.ForgetSubject(pb.ForgetSubjectRequest(subject=who, **more))
        return said.deletion.name

    async def deletion(self, name: str) -> nouns.Deletion:
        return (await self.stub.GetDeletion(pb.GetDeletionRequest(name=name))).deletion

    async def completed(self, name: str) -> nouns.Deletion:
        """How it stands when it is complete."""
        deletion = nouns.Deletion()
        call: Any = self.stub.WatchDeletion(pb.WatchDeletionRequest(name=name))
        async for told in call:
            deletion = told.deletion
        return deletion

    async def exported(self, who: str = "", **more: Any) -> dict[str, str]:
        """Texts by the names of what was exported; fails where a name comes twice."""
        found: dict[str, str] = {}
        call: Any = self.stub.ExportSubject(subject.ExportSubjectRequest(subject=who, **more))
        async for told in call:
            for one in told.records:
                assert one.name not in found
                found[one.name] = one.message.decode()
        return found


@asynccontextmanager
async def keeping(contract: Contract) -> AsyncIterator[FakeKeeper]:
    keeper, server = FakeKeeper(contract), Server()
    server.mount(contract, keeper)
    keeper.port = await server.start("127.0.0.1:0")
    try:
        yield keeper
    finally:
        await server.drain(0)


@asynccontextmanager
async def keepers(folder: Path) -> AsyncIterator[Fleet]:
    """Two, on two machines, and nobody yet who asks them."""
    records = FakeRegistry()
    async with AsyncExitStack() as stack:
        kept = [await stack.enter_async_context(keeping(one)) for one in CONTRACTS]
        for keeper, machine in zip(kept, ("here", "there"), strict=True):
            records.register(keeper, machine)
        yield Fleet(folder, records, kept[0], kept[1], _NOBODY)


@asynccontextmanager
async def fleet(folder: Path) -> AsyncIterator[Fleet]:
    async with keepers(folder) as parts, alive(parts) as it:
        yield it


@asynccontextmanager
async def alive(it: Fleet) -> AsyncIterator[Fleet]:
    """One life of the agent."""
    async with serving(AGENT, beside=[it.registry.agent()], state_dir=it.folder) as channel:
        stub: Any = rpc.NamespaceServiceStub(channel)
        yield replace(it, stub=stub)


_NOBODY: Any = None
