"""Which call the example of a package makes."""

from __future__ import annotations

from google.protobuf.descriptor_pb2 import (
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodOptions,
)

from tandem.options.v1 import options_pb2 as options
from tandemkit.cli.clients.contracts import Contracts
from tandemkit.cli.clients.sample import sample_of


def family(
    name: str, *fields: str, reads: bool = True, asks_caller: bool = False
) -> FileDescriptorProto:
    """A service of one method, which takes these texts."""
    package = f"tandem.{name}.v1"
    made = FileDescriptorProto(name=f"tandem/{name}/v1/a_service.proto", package=package)
    request = made.message_type.add(name="AskRequest")
    for number, field in enumerate(fields, 1):
        request.field.add(name=field, number=number, type=FieldDescriptorProto.TYPE_STRING)
    service = made.service.add(name="AService")
    service.options.Extensions[options.asks_caller] = asks_caller
    method = service.method.add(name="Ask", input_type=f".{package}.AskRequest")
    if reads:
        method.options.idempotency_level = MethodOptions.NO_SIDE_EFFECTS
    return made


def chosen(*files: FileDescriptorProto) -> str:
    contracts = Contracts({file.name: "" for file in files}, FileDescriptorSet(file=files))
    return sample_of(contracts).package.split(".")[1]


def test_the_example_answers_everybody_alike() -> None:
    """What asks who calls needs more than a first call should, whatever its name begins with."""
    assert chosen(family("ask", "text", asks_caller=True), family("tool", "text")) == "tool"
    assert chosen(family("ask", "text", asks_caller=True), family("tool", "name")) == "ask"


def test_the_example_harms_nobody() -> None:
    """And says something, where anything can be said."""
    assert (
        chosen(family("act", "text", reads=False), family("look"), family("say", "text")) == "say"
    )
    assert chosen(family("act", "text", reads=False), family("look")) == "look"
    assert chosen(family("act", "text", reads=False)) == "act"
