"""A contract that exists only while tests and benchmarks run: small, with every kind of method and
option.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import (
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodOptions,
)
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from buf.validate import validate_pb2 as rules
from tandem.options.v1 import options_pb2 as options

PACKAGE = "tandem.probe.v1"
SERVICE = f"{PACKAGE}.ProbeService"
TEXT_CHARS_MAX = 1000
DEADLINE_MS = 200
CALLS_MAX = 2
TOO_ODD, BUSY = 1, 2


def _declare() -> FileDescriptor:
    file = FileDescriptorProto(name="tandem/probe/v1/probe_service.proto", package=PACKAGE)
    file.syntax = "proto3"
    file.dependency.extend(("buf/validate/validate.proto", options.DESCRIPTOR.name))
    for name in ("ProbeRequest", "ProbeResponse"):
        text = file.message_type.add(name=name).field.add(name="text", number=1)
        text.type = FieldDescriptorProto.TYPE_STRING
        text.label = FieldDescriptorProto.LABEL_OPTIONAL
        if name == "ProbeRequest":
            text.options.Extensions[rules.field].string.max_len = TEXT_CHARS_MAX
    reasons = file.enum_type.add(name="ErrorReason")
    reasons.value.add(name="ERROR_REASON_UNSPECIFIED", number=0)
    for name, number, code in (("TOO_ODD", TOO_ODD, 9), ("BUSY", BUSY, 14)):
        value: Any = reasons.value.add(name=f"ERROR_REASON_{name}", number=number)
        value.options.Extensions[options.code] = code
    service: Any = file.service.add(name="ProbeService")
    service.options.Extensions[options.aliases].append("ProbeAgent")
    for name, streams_in, streams_out in (
        ("Echo", False, False),
        ("Narrow", False, False),
        ("Collect", True, False),
        ("Tail", False, True),
        ("Burst", False, True),
        ("Chat", True, True),
    ):
        method = service.method.add(name=name, client_streaming=streams_in)
        method.server_streaming = streams_out
        method.input_type, method.output_type = (
            f".{PACKAGE}.ProbeRequest",
            f".{PACKAGE}.ProbeResponse",
        )
        # The contract's rules would ask a stream for a deadline.
        method.options.Extensions[options.tool] = not streams_in
        if name == "Echo":
            method.options.idempotency_level = MethodOptions.NO_SIDE_EFFECTS
        if name == "Collect":
            method.options.Extensions[options.priority] = options.PRIORITY_BATCH
        if name in {"Narrow", "Burst"}:
            method.options.Extensions[options.deadline].FromMilliseconds(DEADLINE_MS)
            method.options.Extensions[options.limits].concurrent_calls_max = CALLS_MAX
    pool: Any = descriptor_pool.Default()  # type: ignore[no-untyped-call]  # so say its stubs
    pool.AddSerializedFile(file.SerializeToString())
    found: FileDescriptor = pool.FindFileByName(file.name)
    return found


DESCRIPTOR = _declare()
ProbeRequest: type[Any] = GetMessageClass(DESCRIPTOR.message_types_by_name["ProbeRequest"])
ProbeResponse: type[Any] = GetMessageClass(DESCRIPTOR.message_types_by_name["ProbeResponse"])


def path(method: str) -> str:
    """The gRPC path of one of its methods."""
    return f"/{SERVICE}/{method}"


def parse(wire: bytes) -> Message:
    """A response, as a stub would read it."""
    response: Message = ProbeResponse.FromString(wire)
    return response
