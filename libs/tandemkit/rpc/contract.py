"""A contract as the server needs it, read from descriptors and their options."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from google.protobuf.descriptor import (
    EnumDescriptor,
    FileDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tandem.options.v1 import options_pb2 as options
from tandemkit.core.names import AgentName
from tandemkit.rpc.priority import Priority

# What a unary call may take where its contract does not say.
UNARY_DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC of a contract and what its options promise."""

    name: str
    path: str
    request: type[Message]
    response: type[Message]
    client_streaming: bool
    server_streaming: bool
    deadline_s: float | None
    affinity: str
    concurrent_calls_max: int
    retryable: bool
    # Whether it changes nothing: an answer to it may be kept, or come from somebody else.
    reads: bool
    public: bool
    # Whether a language model may call it unasked.
    tool: bool
    # Whether its agent asks who calls, and answers by that caller's rights.
    asks_caller: bool
    priority: Priority

    @classmethod
    def of(cls, method: MethodDescriptor) -> Method:
        said: Any = method.GetOptions()
        of_service: Any = method.containing_service.GetOptions()
        streams = method.client_streaming or method.server_streaming
        deadline_s = None if streams else UNARY_DEADLINE_S
        if said.HasExtension(options.deadline):
            deadline_s = said.Extensions[options.deadline].ToTimedelta().total_seconds()
        return cls(
            name=method.name,
            path=f"/{method.containing_service.full_name}/{method.name}",
            request=GetMessageClass(method.input_type),
            response=GetMessageClass(method.output_type),
            client_streaming=method.client_streaming,
            server_streaming=method.server_streaming,
            deadline_s=deadline_s,
            affinity=said.Extensions[options.affinity],
            concurrent_calls_max=said.Extensions[options.limits].concurrent_calls_max,
            retryable=said.idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN,
            reads=said.idempotency_level == MethodOptions.NO_SIDE_EFFECTS,
            public=said.Extensions[options.public],
            tool=said.Extensions[options.tool],
            asks_caller=of_service.Extensions[options.asks_caller],
            priority=Priority.of(said.Extensions[options.priority]),
        )


def with_imports(file: FileDescriptor, seen: set[str] | None = None) -> Iterator[FileDescriptor]:
    """The file and all that it needs, each behind its own imports; none of what was `seen`."""
    seen = set() if seen is None else seen
    if file.name not in seen:
        seen.add(file.name)
        for imported in file.dependencies:
            yield from with_imports(imported, seen)
        yield file


@dataclass(frozen=True)
class Contract:
    """One service: its names, its methods, and the family's reasons to fail."""

    service: ServiceDescriptor

    @classmethod
    def of(cls, file: FileDescriptor) -> Contract:
        """The contract that `file` declares. A file with none, or with two, is no contract."""
        services = list(file.services_by_name.values())
        if len(services) != 1:
            raise ValueError(
                f"{file.name} declares {len(services)} services; a contract declares one"
            )
        return cls(services[0])

    @cached_property
    def name(self) -> AgentName:
        return AgentName.of(self.service.full_name)

    @cached_property
    def methods(self) -> tuple[Method, ...]:
        return tuple(Method.of(method) for method in self.service.methods)

    @cached_property
    def file_sizes(self) -> tuple[tuple[FileDescriptor, int], ...]:
        """Its file and all that it imports, with their bytes, which are dear to count."""
        return tuple((one, len(one.serialized_pb)) for one in with_imports(self.service.file))

    @cached_property
    def aliases(self) -> tuple[str, ...]:
        said: Any = self.service.GetOptions()
        return tuple(said.Extensions[options.aliases])

    @cached_property
    def reasons(self) -> EnumDescriptor | None:
        """The family's `ErrorReason`; None where no module of the family's errors is loaded, so
        none can be raised.
        """
        pool = self.service.file.pool
        try:
            reasons: EnumDescriptor = pool.FindEnumTypeByName(f"{self.name.package}.ErrorReason")
        except KeyError:
            return None
        return reasons
