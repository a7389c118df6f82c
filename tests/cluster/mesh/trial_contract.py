"""Two contracts that exist only while the mesh is tested: a method for each way in which a route
can treat it.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import (
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
    MethodOptions,
)
from google.protobuf.message_factory import GetMessageClass

from tandem.options.v1 import options_pb2 as options

PACKAGE = "tandem.trial.v1"
ALPHA, BETA = f"{PACKAGE}.AlphaService", f"{PACKAGE}.BetaService"
AFFINITY = "x-session"
WAIT_MS = 300
_MESSAGES = "tandem/trial/v1/trial.proto"


def _declare_messages() -> None:
    file = FileDescriptorProto(name=_MESSAGES, package=PACKAGE, syntax="proto3")
    for name in ("Question", "Answer"):
        text = file.message_type.add(name=name).field.add(name="text", number=1)
        text.type = FieldDescriptorProto.TYPE_STRING
        text.label = FieldDescriptorProto.LABEL_OPTIONAL
    options.DESCRIPTOR.pool.AddSerializedFile(file.SerializeToString())


def _declare(agent: str) -> FileDescriptor:
    name = f"tandem/trial/v1/{agent.lower()}_service.proto"
    file = FileDescriptorProto(name=name, package=PACKAGE, syntax="proto3")
    file.dependency.extend((_MESSAGES, options.DESCRIPTOR.name))
    service = file.service.add(name=f"{agent}Service")
    for method in ("Ask", "Add", "Wait", "Stick"):
        declared: Any = MethodDescriptorProto(name=method)
        declared.input_type, declared.output_type = f".{PACKAGE}.Question", f".{PACKAGE}.Answer"
        if method != "Add":
            declared.options.idempotency_level = MethodOptions.NO_SIDE_EFFECTS
        if method == "Wait":
            declared.options.Extensions[options.deadline].FromMilliseconds(WAIT_MS)
        if method == "Stick":
            declared.options.Extensions[options.affinity] = AFFINITY
        service.method.append(declared)
    options.DESCRIPTOR.pool.AddSerializedFile(file.SerializeToString())
    found: FileDescriptor = options.DESCRIPTOR.pool.FindFileByName(name)
    return found


_declare_messages()
ALPHA_FILE, BETA_FILE = _declare("Alpha"), _declare("Beta")
_KINDS = ALPHA_FILE.services_by_name["AlphaService"].methods_by_name["Ask"]
Question: type[Any] = GetMessageClass(_KINDS.input_type)
Answer: type[Any] = GetMessageClass(_KINDS.output_type)
