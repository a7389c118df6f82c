"""A hundred contracts that exist only while tests run, in groups of agents that share their hosts.
The agents of the last groups also have a method with an affinity.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import (
    FileDescriptorProto,
    MethodDescriptorProto,
    MethodOptions,
)

from tandem.options.v1 import options_pb2 as options
from tests.cluster.mesh.trial_contract import AFFINITY, ALPHA_FILE, PACKAGE

GROUPS, GROUP_AGENTS = 4, 25
STICKY_GROUPS = (2, 3)


def services(group: int) -> list[str]:
    """Full names of the agents of a group."""
    return [f"tandem.many.v1.{_name(group, number)}" for number in range(GROUP_AGENTS)]


def contracts(group: int) -> list[FileDescriptor]:
    return [_declared(group, number) for number in range(GROUP_AGENTS)]


def _name(group: int, number: int) -> str:
    return f"Group{group}Agent{number}Service"


def _declared(group: int, number: int) -> FileDescriptor:
    service = _name(group, number)
    file = FileDescriptorProto(
        name=f"tandem/many/v1/group{group}_agent{number}_service.proto",
        package="tandem.many.v1",
        syntax="proto3",
        dependency=[ALPHA_FILE.dependencies[0].name, options.DESCRIPTOR.name],
    )
    declared = file.service.add(name=service)
    for name in ("Ask", "Stick") if group in STICKY_GROUPS else ("Ask",):
        method: Any = MethodDescriptorProto(name=name)
        method.input_type, method.output_type = f".{PACKAGE}.Question", f".{PACKAGE}.Answer"
        method.options.idempotency_level = MethodOptions.NO_SIDE_EFFECTS
        if name == "Stick":
            method.options.Extensions[options.affinity] = AFFINITY
        declared.method.append(method)
    # The same file a second time changes nothing.
    options.DESCRIPTOR.pool.AddSerializedFile(file.SerializeToString())
    found: FileDescriptor = options.DESCRIPTOR.pool.FindFileByName(file.name)
    return found
