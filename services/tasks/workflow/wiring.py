"""Values that go from responses into requests, by fields of messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from tandem.tasks.v1 import agent_call_pb2 as calls
from tandem.tasks.v1 import workflow_pb2 as pb
from tandemkit.core.errors import Failure


class Unwired(Failure):
    """A value cannot be handed on; the message says why."""


@dataclass(frozen=True, slots=True)
class Wire:
    """One input, and the response that it takes from."""

    said: pb.NodeInput
    source: type[Message]


def check(wires: Iterable[Wire], target: type[Message]) -> None:
    """Raises Unwired where a field is not there, or of another type."""
    for wire in wires:
        to = _path(target.DESCRIPTOR, wire.said.to)
        if any(field.is_repeated for field in to[:-1]):
            raise Unwired("no one message of a list can be meant", field=wire.said.to)
        source = wire.source.DESCRIPTOR
        taken = _path(source, getattr(wire.said, "from"))
        if any(field.is_repeated for field in taken[:-1]):
            raise Unwired("no one message of a list can be meant", field=getattr(wire.said, "from"))
        found = _kind(taken[-1]) if taken else (False, "message", source.full_name)
        if found != _kind(to[-1]):
            raise Unwired(
                "the two fields are of different types",
                source=_worded(found),
                target=_worded(_kind(to[-1])),
            )


def wired(
    call: calls.AgentCall,
    target: type[Message],
    wires: Iterable[Wire],
    responses: Mapping[str, bytes],
) -> calls.AgentCall:
    """The call with all values put in. Raises Unwired."""
    try:
        request: Any = target.FromString(call.request)
        for wire in wires:
            if wire.said.node not in responses:
                raise Unwired("the node has no response", node=wire.said.node)
            # The contracts may be others than when the plan was checked.
            check([wire], target)
            response = wire.source.FromString(responses[wire.said.node])
            _hand_on(response, request, wire.said)
    except DecodeError as error:
        raise Unwired("a message is not what its contract says now") from error
    made = calls.AgentCall()
    made.CopyFrom(call)
    made.request = request.SerializeToString()
    return made


def _hand_on(response: Any, request: Any, said: pb.NodeInput) -> None:
    value: Any = response
    for name in filter(None, getattr(said, "from").split(".")):
        value = getattr(value, name)
    *above, last = said.to.split(".")
    for name in above:
        getattr(request, name).SetInParent()
        request = getattr(request, name)
    _set(request, last)(value)


def _set(message: Any, name: str) -> Callable[[Any], None]:
    field: FieldDescriptor = message.DESCRIPTOR.fields_by_name[name]
    if field.is_repeated and _is_map(field):
        return lambda value: _fill_map(message, name, value)
    if field.is_repeated:
        return lambda value: _fill_list(message, name, value)
    if field.message_type is not None:
        # By its bytes: the two may be of different pools of descriptors.
        return lambda value: _copy(getattr(message, name), value)
    return lambda value: setattr(message, name, value)


def _copy(into: Any, value: Any) -> None:
    into.SetInParent()
    into.ParseFromString(value.SerializeToString())


def _fill_list(message: Any, name: str, values: Any) -> None:
    message.ClearField(name)
    for value in values:
        if isinstance(value, Message):
            _copy(getattr(message, name).add(), value)
        else:
            getattr(message, name).append(value)


def _fill_map(message: Any, name: str, values: Any) -> None:
    message.ClearField(name)
    for key, value in values.items():
        if isinstance(value, Message):
            _copy(getattr(message, name)[key], value)
        else:
            getattr(message, name)[key] = value


def _path(message: Any, dotted: str) -> list[FieldDescriptor]:
    """The fields that lead there; none for the message itself."""
    found: list[FieldDescriptor] = []
    at: Any = message
    for name in filter(None, dotted.split(".")):
        field = at.fields_by_name.get(name) if at is not None else None
        if field is None:
            where = at.full_name if at is not None else found[-1].full_name
            raise Unwired("there is no such field", field=name, within=where)
        found.append(field)
        at = field.message_type
    return found


_SAME = {
    FieldDescriptor.CPPTYPE_INT32: "int32",
    FieldDescriptor.CPPTYPE_INT64: "int64",
    FieldDescriptor.CPPTYPE_UINT32: "uint32",
    FieldDescriptor.CPPTYPE_UINT64: "uint64",
    FieldDescriptor.CPPTYPE_DOUBLE: "double",
    FieldDescriptor.CPPTYPE_FLOAT: "float",
    FieldDescriptor.CPPTYPE_BOOL: "bool",
}


def _kind(field: FieldDescriptor) -> tuple[bool, str, str]:
    """Whether it is a list, of what, and the name of that where it has one."""
    if field.message_type is not None:
        return field.is_repeated, "message", field.message_type.full_name
    if field.enum_type is not None:
        return field.is_repeated, "enum", field.enum_type.full_name
    if field.type == FieldDescriptor.TYPE_BYTES:
        return field.is_repeated, "bytes", ""
    return field.is_repeated, _SAME.get(field.cpp_type, "string"), ""


def _worded(kind: tuple[bool, str, str]) -> str:
    is_list, what, name = kind
    return f"{'list of ' if is_list else ''}{name or what}"


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry
