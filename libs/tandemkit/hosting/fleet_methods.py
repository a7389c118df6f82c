"""The methods of the fleet's agents by their paths, also of those that this process has no stubs
of: control keeps every agent's contract and tells it by reflection.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection_pb2 as pb
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from tandem.options.v1 import options_pb2 as options
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.rpc.client import Mesh
from tandemkit.rpc.contract import Method

# A newer version of an agent is known that soon, and a missing one asked for that often.
_KEEP_S = 30.0
_ANSWER_WITHIN_S = 5.0
_IMPORTED: Any = options.DESCRIPTOR.pool
_ABSENT = grpc.StatusCode.NOT_FOUND.value[0]


class Untold(Failure):
    """No control says which contracts there are."""


class FleetMethods:
    """Answers from the stubs of this process, and else from what control tells; `has_fleet` is
    False where there is nobody to ask.
    """

    def __init__(self, mesh: Mesh, clock: Clock, *, has_fleet: bool) -> None:
        self._mesh, self._clock, self._has_fleet = mesh, clock, has_fleet
        # By service, with the moment: None where no agent has it.
        self._told: dict[str, tuple[float, ServiceDescriptor | None]] = {}
        # By what is in them, so that asking again makes no other types of the same.
        self._pools: dict[bytes, Any] = {}

    async def find(self, path: str) -> Method | None:
        """None where no agent has it, as far as is known. Raises Untold."""
        service, _, name = path.removeprefix("/").partition("/")
        found = _method(_service(_IMPORTED, service), name)
        if found is None and self._has_fleet:
            found = _method(await self._asked(service), name)
        return found

    async def _asked(self, service: str) -> ServiceDescriptor | None:
        now_s = self._clock.monotonic_s()
        told_s, found = self._told.get(service, (float("-inf"), None))
        if now_s - told_s >= _KEEP_S:
            try:
                found = await self._told_now(service)
            except grpc.aio.AioRpcError as error:
                raise Untold("no control tells the contract", service=service) from error
            self._told = {
                key: one for key, one in self._told.items() if now_s - one[0] < _KEEP_S
            } | {service: (now_s, found)}
        return found

    async def _told_now(self, service: str) -> ServiceDescriptor | None:
        files: dict[str, bytes] = {}
        wanted = [pb.ServerReflectionRequest(file_containing_symbol=service)]
        while wanted:
            known = len(files)
            told = [one async for one in self._answers(wanted)]
            for answer in told:
                if answer.error_response.error_code == _ABSENT:
                    return None
                for wire in answer.file_descriptor_response.file_descriptor_proto:
                    files[FileDescriptorProto.FromString(wire).name] = wire
            if len(files) == known:
                raise Untold("control does not tell the whole contract", service=service)
            # A server may leave it to its caller to ask for what a file imports.
            missing = _imports(files) - files.keys()
            wanted = [pb.ServerReflectionRequest(file_by_filename=one) for one in sorted(missing)]
        digest = hashlib.sha256(b"".join(files[name] for name in sorted(files))).digest()
        if digest not in self._pools:
            self._pools[digest] = _pool(files)
        return _service(self._pools[digest], service)

    def _answers(self, wanted: list[Any]) -> AsyncIterator[Any]:
        stub: Any = self._mesh.stub(ServerReflectionStub)
        answers: AsyncIterator[Any] = stub.ServerReflectionInfo(
            iter(wanted), timeout=_ANSWER_WITHIN_S
        )
        return answers


def _service(pool: Any, service: str) -> ServiceDescriptor | None:
    """None also where the name is a message's."""
    try:
        found: ServiceDescriptor = pool.FindServiceByName(service)
    except KeyError:
        return None
    return found


def _method(service: ServiceDescriptor | None, name: str) -> Method | None:
    """What the kit answers on every host is no agent's."""
    if service is None or name not in service.methods_by_name:
        return None
    said: Any = service.GetOptions()
    if said.Extensions[options.plumbing]:
        return None
    return Method.of(service.methods_by_name[name])


def _imports(files: dict[str, bytes]) -> set[str]:
    return {
        imported
        for wire in files.values()
        for imported in FileDescriptorProto.FromString(wire).dependency
    }


def _pool(files: dict[str, bytes]) -> Any:
    """Files behind what they import."""
    pool: Any = DescriptorPool()
    added: set[str] = set()

    def add(name: str) -> None:
        if name not in added:
            added.add(name)
            for imported in FileDescriptorProto.FromString(files[name]).dependency:
                add(imported)
            pool.AddSerializedFile(files[name])

    for name in files:
        add(name)
    return pool
