"""The call that a package's example makes: one that harms nobody and needs next to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import (
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
    MethodOptions,
    ServiceDescriptorProto,
)

from tandem.options.v1 import options_pb2 as options
from tandemkit.cli.clients.contracts import Contracts

_TEXT = ("text",)


@dataclass(frozen=True, slots=True)
class Sample:
    """A method by its names. `has_text` says that its request is one field, `text`; `asks_caller`
    that its answer depends on who calls.
    """

    package: str
    service: str
    method: str
    request: str
    has_text: bool
    asks_caller: bool


def sample_of(contracts: Contracts) -> Sample:
    """The first harmless unary method that takes a text, best one that answers everybody alike;
    else the first one that is harmless.
    """
    found = list(_harmless(contracts))
    return min(found, key=lambda one: (not one.has_text, one.has_text and one.asks_caller))


def _harmless(contracts: Contracts) -> Iterator[Sample]:
    requests = {
        f".{file.package}.{message.name}": tuple(field.name for field in message.field)
        for file in contracts.own()
        for message in file.message_type
        if all(field.type == FieldDescriptorProto.TYPE_STRING for field in message.field)
    }
    methods = [method for file in contracts.own() for method in _methods(file)]
    unary = [one for one in methods if not one[2].client_streaming and not one[2].server_streaming]
    # Where no method is harmless, the first one has to do.
    harmless = [one for one in unary if _is_harmless(one[2])]
    for package, service, method in harmless or methods:
        has_text = requests.get(method.input_type) == _TEXT
        name = method.input_type.rpartition(".")[2]
        asks_caller = service.options.Extensions[options.asks_caller]
        yield Sample(package, service.name, method.name, name, has_text, asks_caller)


def _methods(
    file: FileDescriptorProto,
) -> Iterator[tuple[str, ServiceDescriptorProto, MethodDescriptorProto]]:
    for service in file.service:
        for method in service.method:
            yield file.package, service, method


def _is_harmless(method: MethodDescriptorProto) -> bool:
    return method.options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS
