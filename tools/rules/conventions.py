"""What the contracts promise each other beyond what buf's own rules know."""

from __future__ import annotations

import re
from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
    MethodOptions,
    ServiceDescriptorProto,
)

from tandemkit.audit.finding import Finding
from tools.rules.descriptors import Contracts, Element

RULE = "contract"

_UNTYPED = frozenset(f".google.protobuf.{name}" for name in ("Struct", "ListValue", "Value"))
_ANY = ".google.protobuf.Any"
_SECONDS_IN_DISGUISE = re.compile(
    r"(^|_)(ns|us|ms|s|sec|secs|seconds|millis|milliseconds|micros|nanos|minutes)(_max|_min)?$"
)
_WHOLE_NUMBERS = frozenset(
    {
        FieldDescriptorProto.TYPE_INT32,
        FieldDescriptorProto.TYPE_INT64,
        FieldDescriptorProto.TYPE_UINT32,
        FieldDescriptorProto.TYPE_UINT64,
        FieldDescriptorProto.TYPE_SINT32,
        FieldDescriptorProto.TYPE_SINT64,
        FieldDescriptorProto.TYPE_FIXED32,
        FieldDescriptorProto.TYPE_FIXED64,
        FieldDescriptorProto.TYPE_SFIXED32,
        FieldDescriptorProto.TYPE_SFIXED64,
    }
)
_ENDS_OF_A_STREAM = re.compile(r"\b(deadline|until|ends when|ends after|as long as)\b")
_DEADLINE_S_MAX = 30
# What a tool that changes something may do: it adds, or it answers and remembers that it was asked.
_ADDS = re.compile(r"(Add|Append|Ask)([A-Z]|$)")
# Whoever deletes by subject keeps content, which is somebody's.
_DELETES = ".tandem.memory.v1.DeleteSubjectRequest"
_PLATFORM = frozenset({"type", "options", "fleet"})


def check(contracts: Contracts) -> Iterator[Finding]:
    """Findings for fields, pages, methods, services, enums and imports."""
    yield from _fields(contracts)
    yield from _messages(contracts)
    yield from _methods(contracts)
    yield from _services(contracts)
    yield from _reasons(contracts)
    yield from _imports(contracts)


def _fields(contracts: Contracts) -> Iterator[Finding]:
    for element, field in contracts.fields():
        message = _objection(contracts, element, field)
        if message:
            yield contracts.finding(element, RULE, message)


def _objection(contracts: Contracts, element: Element, field: FieldDescriptorProto) -> str:
    if field.type_name in _UNTYPED:
        return f"`{field.type_name[1:]}` hides the fields; write a message"
    if field.type_name == _ANY and element.file.package != "tandem.fleet.v1":
        return "`Any` exists for settings in tandem.fleet only; write a message"
    if _is_map_of_strings(contracts, field):
        return "`map<string, string>` hides the fields; write a message"
    if field.type in _WHOLE_NUMBERS and _SECONDS_IN_DISGUISE.search(field.name):
        return f"`{field.name}` counts time: use google.protobuf.Duration"
    return ""


def _is_map_of_strings(contracts: Contracts, field: FieldDescriptorProto) -> bool:
    if field.type != FieldDescriptorProto.TYPE_MESSAGE:
        return False
    entry = contracts.descriptor(field.type_name[1:])
    if not entry.GetOptions().map_entry:
        return False
    return all(part.type == FieldDescriptorProto.TYPE_STRING for part in entry.fields)


def _messages(contracts: Contracts) -> Iterator[Finding]:
    for element, message in contracts.messages():
        names = {field.name for field in message.field}
        if ("page_size" in names) != ("page_token" in names):
            text = "`page_size` and `page_token` come as a pair"
            yield contracts.finding(element, RULE, text)
        first = next((field for field in message.field if field.number == 1), None)
        is_list = first is not None and first.label == FieldDescriptorProto.LABEL_REPEATED
        if "next_page_token" in names and not is_list:
            text = "field 1 of a page is the repeated items"
            yield contracts.finding(element, RULE, text)
        for number in _gaps(message):
            text = f"field number {number} is neither used nor reserved"
            yield contracts.finding(element, RULE, text)


def _gaps(message: DescriptorProto) -> list[int]:
    used = {field.number for field in message.field}
    for span in message.reserved_range:
        used.update(range(span.start, min(span.end, span.start + 1000)))
    return sorted(set(range(1, max(used, default=0))) - used)


def _methods(contracts: Contracts) -> Iterator[Finding]:
    for element, method in contracts.methods():
        deadline = contracts.option(method.options, "deadline")
        is_stream = method.client_streaming or method.server_streaming
        if is_stream:
            if deadline is None and not _ENDS_OF_A_STREAM.search(contracts.comment(element)):
                text = "a stream says in its comment what ends it, or has a deadline"
                yield contracts.finding(element, RULE, text)
        elif deadline is None:
            text = "a unary method has the option (tandem.options.v1.deadline)"
            yield contracts.finding(element, RULE, text)
        elif deadline.seconds > _DEADLINE_S_MAX:
            text = f"over {_DEADLINE_S_MAX} s is a job: Start, Get and Cancel"
            yield contracts.finding(element, RULE, text)
        request = contracts.descriptor(method.input_type[1:])
        response = contracts.descriptor(method.output_type[1:])
        answered = "next_page_token" in response.fields_by_name
        if "page_token" in request.fields_by_name and not answered:
            text = "the answer to a `page_token` has a `next_page_token`"
            yield contracts.finding(element, RULE, text)
        if contracts.option(method.options, "tool") and (text := _untoolable(contracts, method)):
            yield contracts.finding(element, RULE, text)


def _untoolable(contracts: Contracts, method: MethodDescriptorProto) -> str:
    """What keeps a model from calling it unasked; empty where nothing does."""
    if method.client_streaming:
        return "a tool takes one request: a model has no stream to send"
    if method.server_streaming and contracts.option(method.options, "deadline") is None:
        return "a tool ends: a stream that is one has a deadline"
    reads = method.options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    if not reads and not _ADDS.match(method.name):
        return "a tool has NO_SIDE_EFFECTS or only adds: models overwrite and command nothing"
    return ""


def _services(contracts: Contracts) -> Iterator[Finding]:
    for element, service in contracts.services():
        if not contracts.option(service.options, "statefulness"):
            text = "a service has the option (tandem.options.v1.statefulness)"
            yield contracts.finding(element, RULE, text)
        is_keeper = any(method.input_type == _DELETES for method in service.method)
        if is_keeper and not contracts.option(service.options, "asks_caller"):
            text = "a service that keeps content has the option (tandem.options.v1.asks_caller)"
            yield contracts.finding(element, RULE, text)
        wanted = _home(element.file, service)
        if element.file.name != wanted:
            yield contracts.finding(element, RULE, f"stands in protos/{wanted}")
        if len(element.file.service) > 1:
            yield contracts.finding(element, RULE, "one service per file: one agent, one contract")


def _home(file: FileDescriptorProto, service: ServiceDescriptorProto) -> str:
    agent = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", service.name)
    return f"{file.package.replace('.', '/')}/{agent.lower()}.proto"


def _reasons(contracts: Contracts) -> Iterator[Finding]:
    for element, enum in contracts.enums():
        if not enum.name.endswith("ErrorReason"):
            continue
        for place, value in contracts.values(element, enum):
            code = contracts.option(value.options, "code")
            if value.number and not code:
                text = f"`{value.name}` has the option (tandem.options.v1.code)"
                yield contracts.finding(place, RULE, text)


def _imports(contracts: Contracts) -> Iterator[Finding]:
    """A family refers to another family's things by name and never imports them; what all of them
    run by, the fleet's plan among it, is no family's.
    """
    for file in contracts.files:
        own = file.package.split(".")[1]
        for imported in file.dependency:
            parts = imported.split("/")
            if parts[0] == "tandem" and parts[1] not in {own, *_PLATFORM}:
                text = f"`{imported}` belongs to another family; refer to its things by name"
                yield contracts.finding(Element(file, (3,), file.package), RULE, text)
