"""The methods of the fleet's agents by their paths, also of those that this process has no stubs
of: control keeps every agent's contract and tells it by reflection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
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
# What every server answers besides its agents.
_OF_SERVERS = ("grpc.", "envoy.")


class Untold(Failure):
    """No control says which contracts there are."""


class FleetMethods:
    """Answers from the stubs of this process, and else from what control tells; `has_fleet` is
    False where there is nobody to ask, and then the agents are those that serve `here`.
    """

    def __init__(
        self,
        mesh: Mesh,
        clock: Clock,
        *,
        has_fleet: bool,
        here: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._mesh, self._clock, self._has_fleet = mesh, clock, has_fleet
        self._here = here
        # By service, with the moment: None where no agent has it.
        self._told: dict[str, tuple[float, ServiceDescriptor | None]] = {}
        # Asking again makes no other types of the same.
        self._pools = _Pools()

    async def find(self, path: str) -> Method | None:
        """None where no agent has it, as far as is known. Raises Untold."""
        service, _, name = path.removeprefix("/").partition("/")
        found = _method(_service(_IMPORTED, service), name)
        if found is None and self._has_fleet:
            found = _method(await self._asked(service), name)
        return found

    async def services(self) -> list[ServiceDescriptor]:
        """Of all agents that serve at this moment, by their full names. Raises Untold."""
        try:
            listed = await self._listed() if self._has_fleet else self._here()
            found = await asyncio.gather(*map(self._described, listed))
        except grpc.aio.AioRpcError as error:
            raise Untold("no control tells which agents there are") from error
        return sorted((one for one in found if one and not _is_plumbing(one)), key=_full_name)

    async def _listed(self) -> list[str]:
        listed = [
            one.name
            async for answer in self._answers([pb.ServerReflectionRequest(list_services="*")])
            for one in answer.list_services_response.service
        ]
        return [one for one in listed if not one.startswith(_OF_SERVERS)]

    async def _described(self, service: str) -> ServiceDescriptor | None:
        found = _service(_IMPORTED, service)
        return found or (await self._asked(service) if self._has_fleet else None)

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
        return _service(self._pools.of(files), service)

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
    if service is None or name not in service.methods_by_name or _is_plumbing(service):
        return None
    return Method.of(service.methods_by_name[name])


def _imports(files: dict[str, bytes]) -> set[str]:
    return {
        imported
        for wire in files.values()
        for imported in FileDescriptorProto.FromString(wire).dependency
    }


def _full_name(service: ServiceDescriptor) -> str:
    return str(service.full_name)


def _is_plumbing(service: ServiceDescriptor) -> bool:
    said: Any = service.GetOptions()
    return bool(said.Extensions[options.plumbing])


class _Pools:
    """Contracts share a pool, and with it what they import, as far as they agree about that: two
    versions of a file, while a fleet changes, are in different ones.
    """

    def __init__(self) -> None:
        self._all: list[tuple[Any, dict[str, bytes]]] = []

    def of(self, files: dict[str, bytes]) -> Any:
        """One that has all of these."""
        pool, known = next((one for one in self._all if _agree(one[1], files)), (None, {}))
        if pool is None:
            pool = DescriptorPool()
            self._all.append((pool, known))

        def add(name: str) -> None:
            """A file behind what it imports."""
            if name not in known:
                known[name] = files[name]
                for imported in FileDescriptorProto.FromString(files[name]).dependency:
                    add(imported)
                pool.AddSerializedFile(files[name])

        for name in files:
            add(name)
        return pool


def _agree(known: dict[str, bytes], files: dict[str, bytes]) -> bool:
    return all(known.get(name, wire) == wire for name, wire in files.items())
