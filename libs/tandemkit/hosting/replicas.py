"""All replicas of all agents that have some method, each called where it is: for what every one of
them has to hear, as a call through the mesh reaches whoever is nearest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message

from tandem.control.v1 import registration_pb2 as nouns
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandemkit.core.errors import Failure
from tandemkit.core.token import Token
from tandemkit.rpc import channel
from tandemkit.rpc.bearing import bearing
from tandemkit.rpc.callers import AGENTS, HEADER
from tandemkit.rpc.local import INSTANCE_HEADER
from tandemkit.rpc.priority import Priority
from tandemkit.rpc.remote import RemoteFailure

_TOLD_WITHIN_S, _ANSWER_WITHIN_S = 3.0, 30.0


class Untold(Failure):
    """The registry does not say who is where."""


class Unanswered(Failure):
    """A replica did not answer, or not well. Says nothing of what the call said."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One that is registered; the default instance has no name."""

    service: str
    instance: str
    machine: str
    address: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A method by its name, and its messages: whoever has it has it with these."""

    method: str
    request: type[Message]
    response: type[Message]


class Replicas:
    """`own` is the short name of the agent that calls, whose AGENT says `calls_any=True`."""

    def __init__(
        self, stub: registry_rpc.RegistryServiceAsyncStub, own: str, token: Token | None
    ) -> None:
        self._stub, self._own, self._token = stub, own, token
        self._contracts: dict[str, FileDescriptorSet] = {}

    async def having(self, asked: Asked) -> list[Replica]:
        """Those that are registered now. Raises Untold."""
        try:
            return [
                Replica(one.service, one.instance, host.machine, f"{host.address}:{host.port}")
                for host in await self._hosts()
                for one in host.placements
                if _has(await self._contract(one.contract_digest), one.service, asked)
            ]
        except grpc.aio.AioRpcError as error:
            raise Untold("the registry does not answer", code=error.code().name) from error

    async def ask(self, replica: Replica, asked: Asked, request: Message) -> Any:
        """Its answer. Raises Unanswered."""
        async with self._wire(replica) as wire:
            call: Any = wire.unary_unary(
                f"/{replica.service}/{asked.method}",
                request_serializer=asked.request.SerializeToString,
                response_deserializer=asked.response.FromString,
            )
            try:
                return await call(
                    request, timeout=_ANSWER_WITHIN_S, metadata=self._headers(replica)
                )
            except grpc.aio.AioRpcError as error:
                raise _unanswered(error) from error

    async def listen(
        self, replica: Replica, asked: Asked, request: Message
    ) -> AsyncGenerator[Any, None]:
        """Its answers. Raises Unanswered, also behind some of them."""
        async with self._wire(replica) as wire:
            method: Any = wire.unary_stream(
                f"/{replica.service}/{asked.method}",
                request_serializer=asked.request.SerializeToString,
                response_deserializer=asked.response.FromString,
            )
            call = method(request, metadata=self._headers(replica))
            try:
                async for told in call:
                    yield told
            except grpc.aio.AioRpcError as error:
                raise _unanswered(error) from error
            finally:
                call.cancel()

    @asynccontextmanager
    async def _wire(self, replica: Replica) -> AsyncGenerator[grpc.aio.Channel, None]:
        async with channel.shared(replica.address) as wire:
            yield bearing(wire, self._token)

    def _headers(self, replica: Replica) -> list[tuple[str, str]]:
        headers = [(HEADER, f"{AGENTS}{self._own}"), Priority.BATCH.header]
        return headers + ([(INSTANCE_HEADER, replica.instance)] if replica.instance else [])

    async def _hosts(self) -> list[nouns.Host]:
        call: Any = self._stub.WatchHosts(registry.WatchHostsRequest())
        try:
            async with asyncio.timeout(_TOLD_WITHIN_S):
                async for told in call:
                    if told.HasField("snapshot"):
                        return list(told.snapshot.hosts)
        except TimeoutError as error:
            raise Untold("the registry does not answer in time") from error
        finally:
            call.cancel()
        raise Untold("the registry ended the watch")

    async def _contract(self, digest: str) -> FileDescriptorSet:
        """What a digest names never changes. A host stores it before it registers."""
        if digest not in self._contracts:
            request = registry.GetValueRequest(key=f"contracts/{digest}")
            content = (await self._stub.GetValue(request)).value.content
            self._contracts[digest] = FileDescriptorSet.FromString(content)
        return self._contracts[digest]


def _has(files: FileDescriptorSet, service: str, asked: Asked) -> bool:
    package, _, name = service.rpartition(".")
    wanted = asked.method, f".{asked.request.DESCRIPTOR.full_name}"
    return any(
        (method.name, method.input_type) == wanted
        for file in files.file
        if file.package == package
        for one in file.service
        if one.name == name
        for method in one.method
    )


def _unanswered(error: grpc.aio.AioRpcError) -> Unanswered:
    """Without the message, whose author had the request before them."""
    found = RemoteFailure.of(error)
    return Unanswered(f"{found.code.name} {found.reason}".strip())
